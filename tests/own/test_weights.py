"""Weights that were learned before: at other scales, on other sections, and as the start of a training."""

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.fit.learned import Learned
from vemrecon.fit.stages import save_weights, trained_parts
from vemrecon.methods.build import build_method
from vemrecon.methods.registry import built_in_methods
from vemrecon.volume import SectionGrid, Volume, VoxelSize, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr

SMALL = {
    "isovem": {"widths": [8] * 8, "depths": [2] * 8, "features": 8, "window": [2, 1, 2], "rotations": [0]}
    | {"tile": [8, 32, 32], "halo": 2, "crop": [4, 16, 16]},
    "lateral-cnn": {"width": 8, "blocks": 1, "patch": 32, "batch": 2},
    "srunet": {"widths": [4, 4, 8], "tile": [8, 32, 32], "halo": [2, 8, 8]},
}


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.zarr"
    copy_to_zarr(path, Volume(textured((12, 40, 40)), VoxelSize(40, 10, 10), "stack"), "uint8")
    return path


def learned(tmp_path, name, scale, kind="centred"):
    """Weights of a method that was built for a scale, with something in the layers that begin with nothing."""
    grid = SectionGrid.of_kind(kind, scale)
    method = build_method(built_in_methods()[name].load(), name, SMALL[name], grid=grid, seed=1)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.02 * torch.sin(torch.arange(parameter.numel(), dtype=torch.float32)).view_as(parameter))
    path = tmp_path / f"{name}-{scale:g}.safetensors"
    facts = {"method": name, "arguments": SMALL[name], "scale": scale, "grid": grid.as_dict()}
    save_weights(method, path, trained_parts(method), facts)
    return path


def run(*words):
    return main([str(word) for word in words])


@pytest.mark.parametrize("scale", [2, 4, 8, 17.5])
def test_weights_of_isovem_serve_every_scale(stack, tmp_path, scale):
    weights = learned(tmp_path, "isovem", 8.0)
    out = tmp_path / "out.zarr"
    assert run("reconstruct", stack, out, "--method", "isovem", "--weights", weights, "--scale", scale) == 0
    made = open_volume(out)
    assert made.shape == (round(12 * scale), 40, 40)
    assert np.ptp(made.read(made.whole)) > 0.1


def test_weights_serve_another_scale_with_the_network_that_they_were_learned_with():
    kind = built_in_methods()["isovem"].load()
    at_eight = build_method(kind, "isovem", SMALL["isovem"], grid=SectionGrid.slabs(8), seed=1)
    arguments = SMALL["isovem"] | {"network_scale": 8.0}
    at_three = build_method(kind, "isovem", arguments, grid=SectionGrid.slabs(3), seed=1)
    at_three.load_state_dict(at_eight.state_dict())
    video = torch.rand(1, 1, 3, 8, 16)  # (b, 1, frames, rows, columns)
    assert torch.equal(at_eight.restore(video)[..., 4::8, :].isfinite(), torch.ones(1, 1, 3, 8, 16, dtype=torch.bool))
    assert at_three.restore(video).shape == (1, 1, 3, 24, 16)
    assert at_three.net.upsampler.factor == at_eight.net.upsampler.factor == 8


@pytest.mark.parametrize("name", ["lateral-cnn", "srunet"])
def test_a_network_of_one_scale_is_refused_at_another(stack, tmp_path, capsys, name):
    weights = learned(tmp_path, name, 8.0, "aligned")
    words = ["reconstruct", stack, tmp_path / "out.zarr", "--method", name, "--weights", weights, "--grid", "aligned"]
    assert run(*words) == 2
    said = capsys.readouterr().err
    assert "learned at a scale of 8" in said and "is taken by" not in said
    assert run(*words, "--scale", "8") == 0


def test_the_next_scale_that_weights_serve_is_made_and_resampled(stack, tmp_path, capsys):
    weights = learned(tmp_path, "lateral-cnn", 5.0)
    words = ["reconstruct", stack, tmp_path / "out.zarr", "--method", "lateral-cnn", "--weights", weights]
    assert run(*words, "--scale", "4.4") == 2
    assert "--resample makes 5 sections of one" in capsys.readouterr().err
    assert run(*words, "--scale", "4.4", "--resample") == 0
    assert open_volume(tmp_path / "out.zarr").shape == (53, 40, 40)


def test_weights_of_other_sections_are_refused(stack, tmp_path, capsys):
    weights = learned(tmp_path, "isovem", 4.0, "aligned")
    assert run("reconstruct", stack, tmp_path / "out.zarr", "--method", "isovem", "--weights", weights) == 2
    assert "give --grid aligned" in capsys.readouterr().err


def test_a_training_goes_on_from_weights(stack, tmp_path):
    weights = learned(tmp_path, "lateral-cnn", 4.0)
    words = ["--method", "lateral-cnn", "--weights", weights]
    rate = [*words, "--train", "smoke", "--set", "budget=1", "learning_rate={}"]
    made = {}
    for name, more in (
        ("given", words),
        ("still", [*rate[:-1], "learning_rate=0.0"]),
        ("on", [*rate[:-1], "learning_rate=0.01"]),
    ):
        assert run("reconstruct", stack, tmp_path / f"{name}.zarr", *more) == 0
        volume = open_volume(tmp_path / f"{name}.zarr")
        made[name] = volume.read(volume.whole)
    assert np.array_equal(made["given"], made["still"])
    assert not np.array_equal(made["given"], made["on"])


def test_what_was_learned_is_kept_and_serves_again(stack, tmp_path, capsys):
    kept = tmp_path / "mine.safetensors"
    words = ["--method", "isovem", "--train", "smoke", "--set", "budget=2", "--save-weights", kept]
    assert run("reconstruct", stack, tmp_path / "a.zarr", *words) == 0
    assert run("reconstruct", stack, tmp_path / "b.zarr", "--method", "isovem", "--weights", kept) == 0
    made = [open_volume(tmp_path / name) for name in ("a.zarr", "b.zarr")]
    assert np.array_equal(*(one.read(one.whole) for one in made))
    assert run("reconstruct", stack, tmp_path / "c.zarr", *words) == 2
    assert "already exists" in capsys.readouterr().err
    assert run("reconstruct", stack, tmp_path / "c.zarr", "--save-weights", tmp_path / "c.safetensors") == 2
    assert "give --train" in capsys.readouterr().err


def test_a_training_that_goes_on_is_as_long_as_its_preset_and_else_as_it_was(tmp_path):
    kind = built_in_methods()["lateral-cnn"].load()
    found = Learned.read(learned(tmp_path, "lateral-cnn", 4.0)).arguments_for(kind, {"budget": 77, "width": 64})
    assert found == SMALL["lateral-cnn"] | {"budget": 77}
