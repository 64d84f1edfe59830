"""Floating point operations: analytic counts, counts of the papers' own networks, and the meta device."""

from __future__ import annotations

import pytest
import torch
from preset_arguments import preset_arguments
from torch import nn

from vemrecon.cli import main
from vemrecon.methods.base import Method, Tile
from vemrecon.methods.build import build_method
from vemrecon.methods.flops import Parameters, count_flops, reference_shape, reference_tile
from vemrecon.methods.registry import built_in_methods
from vemrecon.nets.selective_scan import scan_flops
from vemrecon.volume import SectionGrid

SCALE = 4
Z, Y, X = 6, 20, 28
FITTED = {name for name, entry in built_in_methods().items() if entry.card is not None and entry.card.at_test}
COUNTED = sorted(set(built_in_methods()) - FITTED)


def made(name: str, preset: str = "smoke", scale: float = SCALE, **arguments: object) -> Method:
    entry = built_in_methods()[name]
    settings = preset_arguments(name, preset, scale)
    return build_method(
        entry.load(), name, {**settings, **arguments}, grid=SectionGrid.kept_every(scale), seed=0
    ).eval()


def small(device: str) -> Tile:
    return Tile(torch.zeros(1, 1, Z, Y, X, device=device), SectionGrid.kept_every(SCALE))


class Convolutions(Method):
    """One convolution of the tile, and one that puts sections in between."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv3d(1, 5, 3, padding=1, groups=1)
        self.deep = nn.Conv3d(5, 5, (1, 3, 3), padding=(0, 1, 1), groups=5)
        self.tail = nn.ConvTranspose3d(5, 1, (SCALE, 1, 1), stride=(SCALE, 1, 1))

    def reconstruct(self, tile: Tile) -> torch.Tensor:
        return self.tail(self.deep(self.deep(self.head(tile.observed))))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_convolutions_cost_two_operations_for_each_weight_and_output(device: str) -> None:
    flops = count_flops(Convolutions().to(device), small(device))
    weights = 5 * 27 + 2 * 5 * 9 + 5 * SCALE  # of each observed voxel; one module is called twice
    assert flops.layers == flops.total == 2 * weights * Z * Y * X
    assert flops.output_voxels == SCALE * Z * Y * X
    assert flops.per_voxel == pytest.approx(2 * weights / SCALE)


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_lateral_cnn_costs_what_its_layers_say(preset: str) -> None:
    method = made("lateral-cnn", preset)
    width, blocks = {"smoke": (8, 1), "paper": (64, 4)}[preset]
    network = 9 * width + 2 * blocks * 9 * width**2 + 9 * width * SCALE
    interpolation = Z * SCALE  # a matrix product with rows of the result for each observed one
    assert count_flops(method.to("meta"), small("meta")).layers == 2 * 2 * (network + interpolation) * Z * Y * X


@pytest.mark.parametrize("name", COUNTED)
def test_meta_count_is_the_real_count(name: str) -> None:
    method = made(name)
    real = count_flops(method, small("cpu"))
    assert real.total > 0
    assert count_flops(method.to("meta"), small("meta")) == real


@pytest.mark.parametrize(
    ("name", "arguments", "layers", "scan"),
    [
        ("isovem", {"rotations": [0]}, 0.880e12, 0),
        ("vemamba", {"rotations": [0]}, 0.405e12, 0.118e12),
        ("srunet", {}, 0.736e12, 0),  # 368 G for half of the sections
        ("irsde", {"steps": 5}, 5 * 256 * 0.092e12 / 4, 0),  # 256 sections; 92 G for one of 256 x 256
        ("emdiffuse-i", {"steps": 3, "samples": 1}, 3 * 105 * 25.76e9, 0),  # 15 gaps of 7
    ],
)
def test_paper_networks_cost_what_was_measured_on_the_original_ones(
    name: str, arguments: dict[str, object], layers: float, scan: float
) -> None:
    method = made(name, "paper", 8, **arguments).to("meta")
    flops = count_flops(method, reference_tile(SectionGrid.kept_every(8)))
    assert flops.layers == pytest.approx(layers, rel=2e-3)
    assert flops.told == pytest.approx(scan, rel=5e-3)


def test_scans_are_told_in_every_rotation() -> None:
    once, twice = (made("vemamba", rotations=r).to("meta") for r in ([0], [0, 2]))
    tile = small("meta")
    first, second = count_flops(once, tile), count_flops(twice, tile)
    assert first.told == scan_flops(1, 2 * 4 * 6, Z * Y * X, 4)  # one block of two halves of 6 channels, 4 orders each
    assert (second.layers, second.told) == (2 * first.layers, 2 * first.told)


def test_counting_leaves_a_method_as_it_was() -> None:
    method = made("vemamba")
    tile = Tile(torch.rand(1, 1, Z, Y, X), SectionGrid.kept_every(SCALE))
    with torch.no_grad():
        before = method.reconstruct(tile)
        count_flops(method, tile)
        assert torch.equal(method.reconstruct(tile), before)
    assert all("forward" not in vars(module) for module in method.modules())


def test_parameters_are_trained_in_total_and_by_part() -> None:
    found = Parameters.of(made("vemamba", "paper", 4))
    encoder = 322_368
    assert found.parts == {"contrast": 2 * encoder, "net": 937_601}
    assert (found.trained, found.total) == (937_601 + encoder, 937_601 + 2 * encoder)
    assert Parameters.of(made("linear")) == Parameters(0, 0, {})
    irsde = Parameters.of(made("irsde", "paper", 8))
    assert irsde.trained == irsde.total == irsde.parts["net"] == irsde.parts["average"] == 20_400_261


def test_reference_tiles_give_about_128_sections() -> None:
    for scale in (1.5, 2, 2.5, 3, 4, 5, 6, 8, 12, 16):
        assert abs(reference_shape(scale)[0] * scale - 128) <= scale


def test_the_command_shows_costs_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--cost", "--preset", "smoke", "--scale", "2.5"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert set(built_in_methods()) <= set(lines)
    assert lines["sup-aenet"].split()[2:4] == ["0.033", "0.033"]
    assert "no fixed cost" in lines["emgauss"]
    assert "needs a whole scale" in lines["vemamba"]
    assert main(["methods", "vemamba", "--cost", "--preset", "smoke"]) == 0
    shown = capsys.readouterr().out
    assert "of it in selective scans" in shown and "parts: contrast 0.645" in shown
    assert main(["methods", "vemamba", "--cost", "--scale", "0"]) == 2
