"""What `vemrecon.methods` offers to packages of others."""

import numpy as np
import pytest
import torch

import vemrecon.methods as public
from vemrecon.errors import ConfigError, DataError, PluginError
from vemrecon.files import sha256_of
from vemrecon.methods import Method, MethodCard, SectionGrid, Tile, WeightFile, interpolated
from vemrecon.methods.base import reconstruct_tile
from vemrecon.methods.interpolation import Interpolation


def test_every_name_is_there():
    assert all(getattr(public, name).__module__.startswith("vemrecon") for name in public.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Methud'"):
        _ = public.Methud


@pytest.mark.parametrize("grid", [SectionGrid.kept_every(4, 2), SectionGrid.slabs(2.5)])
@pytest.mark.parametrize("kernel", ["linear", "nearest", "lanczos3"])
def test_interpolated_is_what_the_kernel_makes(grid, kernel):
    observed = torch.rand(1, 1, 6, 5, 7)
    expected = reconstruct_tile(Interpolation(kernel), Tile(observed, grid))[0]
    assert torch.allclose(interpolated(observed, grid, kernel).clamp(0, 1), expected, atol=1e-6)
    planes = observed[0].transpose(0, 1)  # (6, 1, 5, 7): rows are enlarged
    assert interpolated(planes, grid).shape == (6, 1, grid.extent(5), 7)


class Fitting(Method):
    """Fits a factor to each tile."""

    fits_at_test = True

    def reconstruct(self, tile):
        factor = torch.ones((), requires_grad=True)
        ((tile.observed * factor).mean() - 0.25).square().backward()
        return interpolated(tile.observed, tile.grid) * (factor - factor.grad)


def test_only_what_fits_at_test_has_gradients():
    with torch.inference_mode():  # whoever reads the tile may be in it
        tile = Tile(torch.full((1, 1, 3, 4, 4), 0.5), SectionGrid.kept_every(2))
    (made,) = reconstruct_tile(Fitting(), tile)
    assert not made.requires_grad and float(made.mean()) == pytest.approx(0.5 * 0.75)
    Fitting.fits_at_test = False
    try:
        with pytest.raises(RuntimeError):
            reconstruct_tile(Fitting(), tile)
    finally:
        Fitting.fits_at_test = True


def test_cards_declare_weights_and_exceptions(tmp_path):
    with pytest.raises(ConfigError, match="must be external"):
        MethodCard("brings weights", "none", weights=(WeightFile("a", "0"),))
    with pytest.raises(ConfigError, match="excepted from 'tile'"):
        MethodCard("excepted", "none", exceptions={"tile": "why"})
    file = tmp_path / "card.yaml"
    file.write_text("title: t\nregime: external\nweights: [{file: a.safetensors, sha256: '0'}]\n")
    assert MethodCard.read(file).weights == (WeightFile("a.safetensors", "0"),)
    file.write_text("title: t\nregime: none\nlicense: MIT\n")
    with pytest.raises(ConfigError, match="did you mean 'licence'"):
        MethodCard.read(file)


def test_weights_are_found_in_the_data_root_and_verified(tmp_path, monkeypatch):
    monkeypatch.setenv("VEMRECON_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    file = tmp_path / "weights" / "net.npy"
    np.save(file, np.zeros(2))

    class Brings(Method):
        card = MethodCard("brings", "external", weights=(WeightFile("net.npy", sha256_of(file)), WeightFile("no", "0")))

        def reconstruct(self, tile):
            return tile.observed

    assert Brings.weight_file("net.npy") == file
    with pytest.raises(PluginError, match=r"declares no weights 'other' \(declared: net.npy, no\)"):
        Brings.weight_file("other")
    with pytest.raises(DataError, match="should be in the package"):
        Brings.weight_file("no")
    np.save(file, np.ones(2))
    with pytest.raises(DataError, match="other sha256"):
        Brings.weight_file("net.npy")
