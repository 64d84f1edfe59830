"""Sections at any depth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.infer.at_depths import make_sections
from vemrecon.infer.reconstruct import reconstruct_array
from vemrecon.methods.applied import Applied
from vemrecon.methods.base import TileShape
from vemrecon.methods.build import build_method
from vemrecon.methods.registry import method_entry
from vemrecon.own.wish import Wish
from vemrecon.volume import SectionGrid, Volume, VoxelSize, open_volume, write_volume

CONTINUOUS = {
    "bicubic": {},
    "bspline3": {},
    "sup-aenet": {},
    "emdiffuse-i": {"depth": "fraction", "samples": 2},
    "emgauss": {"steps": [6, 3, 6], "width": 8, "depth": 2},
}
GRIDS = {
    "slabs": SectionGrid.slabs(4),
    "kept": SectionGrid.kept_every(4),
    "moved": SectionGrid.kept_every(4, 3),
}


def made(name: str, grid: SectionGrid):
    """A method with random weights and tiles so small that there are several of them along every axis."""
    kind, _, presets = method_entry(name).resolved()
    method = build_method(kind, name, {**presets.get("smoke", {}), **CONTINUOUS[name]}, grid=grid, seed=0).eval()
    rng = torch.Generator().manual_seed(1)
    for parameter in method.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.05, generator=rng)
    method.tile = TileShape(3, 16, 16, halo=(method.tile.halo[0], 4, 4), blended=method.tile.blended)
    return method


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_where_voxels_lie_sections_are_those_of_the_whole_reconstruction(name, grid, tmp_path):
    observed = Volume(textured((7, 24, 24)), VoxelSize(40, 10, 10), "stack", grid=GRIDS[grid])
    method, like = made(name, GRIDS[grid]), Volume(np.zeros((1, 1, 1), np.uint16), None, "like")
    voxels = [20, 0, 11, 12, 27, 13]

    whole = reconstruct_array(method, observed, like=like)
    sections = make_sections(method, observed, GRIDS[grid].sections_at(voxels).tolist(), tmp_path)

    assert np.abs(sections - whole[voxels] / 65535).max() < 1e-4


def test_between_voxels_sections_are_between_their_neighbours(tmp_path):
    grid = SectionGrid.slabs(4)
    observed = Volume(textured((7, 24, 24)), VoxelSize(40, 10, 10), "stack", grid=grid)

    low, middle, high = make_sections(made("bicubic", grid), observed, [2.55, 2.56, 2.57], tmp_path)

    assert np.abs(middle - (low + high) / 2).max() < 1e-3


def test_a_tile_that_took_long_is_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("vemrecon.infer.at_depths.SLOW", 0.0)
    grid = SectionGrid.slabs(4)
    observed, method = Volume(textured((7, 24, 24)), None, "stack", grid=grid), made("bicubic", grid)
    first = np.array(make_sections(method, observed, [2.5, 3.75], tmp_path))

    monkeypatch.setattr("vemrecon.infer.at_depths.tile_sections_at", None)

    assert np.array_equal(make_sections(method, observed, [2.5, 3.75], tmp_path), first)


def test_orientations_and_methods_of_voxels_are_not_continuous():
    method = made("bicubic", SectionGrid.slabs(4))
    assert Applied(method, blended=True).continuous and not Applied(method, rotations=True).continuous
    for name, settings in (("lateral-cnn", {}), ("isovem", {}), ("emdiffuse-i", {"depth": "layer"})):
        with pytest.raises(ConfigError, match=r"--at: method .* EMGauss, AENet, DGEAN and vEMDiffuse"):
            Wish(method=name, settings=settings, at=[1.5]).check(4.0)


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.zarr"
    write_volume(path, Volume(textured((6, 24, 24)), VoxelSize(40, 10, 10), "stack"), np.dtype(np.uint8))
    return path


@pytest.mark.parametrize("name", ["out.tif", "out.zarr", "out.h5"])
def test_a_stack_of_sections_says_where_they_lie(stack, tmp_path, capsys, name):
    words = ["reconstruct", str(stack), str(tmp_path / name), "--method", "linear", "--at", "1", "2.5", "4"]
    assert main([*words, "--region", ":", "4:20", ":"]) == 0

    found, truth = open_volume(tmp_path / name), textured((6, 24, 24))[:, 4:20].astype(float)
    assert tuple(found.voxel_size) == (60, 10, 10), "they lie one and a half sections apart"
    assert found.origin == (40, 40, 0)
    capsys.readouterr()
    assert main(["info", str(tmp_path / name), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"]["at"] == [1, 2.5, 4]
    wanted = np.stack([truth[1], (truth[2] + truth[3]) / 2, truth[4]])
    assert np.abs(found.read(found.whole) * 255 - wanted).max() <= 0.5
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--at", "6"], "reaches from -0.5 to 5.5, counted in sections"),
        (["--at", "1", "--region", "1:3", ":", ":"], "give : along z"),
        (["--at", "1", "--dry-run"], "without --dry-run"),
        (["--at", "1", "--rotations"], "without --rotations"),
        (["--at", "x"], "--at x: must be a number"),
        (["--at", "1", "--method", "lateral-cnn"], "at any depth"),
    ],
)
def test_sections_that_cannot_be_made_are_refused_in_one_line(stack, tmp_path, capsys, words, message):
    assert main(["reconstruct", str(stack), str(tmp_path / "out.tif"), *words]) == 2

    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1, error
