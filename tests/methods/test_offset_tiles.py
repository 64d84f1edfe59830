"""Sections that begin behind the first voxel: methods that know nothing of it get them where they expect them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.data.patches import LateralPairs, LateralSections
from vemrecon.data.source import Source
from vemrecon.data.supervised import IsotropicBlocks, SectionWindows
from vemrecon.data.unpaired import UnpairedSections
from vemrecon.degradations import Subsample, degrade
from vemrecon.errors import ConfigError
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.infer.tiles import TilePlan
from vemrecon.methods.base import Method, Tile, TileShape, reconstruct_tile
from vemrecon.methods.build import build_method
from vemrecon.methods.emdiffuse.gaps import Gaps
from vemrecon.methods.interpolation import Interpolation
from vemrecon.methods.registry import method_entry
from vemrecon.seeding import derive
from vemrecon.volume import SectionGrid, Volume, open_volume

NETWORKS = ("lateral-cnn", "srunet", "isovem", "vemamba", "irsde", "sup-aenet", "emdiffuse-i", "lateral-diffusion")
MOVED = SectionGrid.kept_every(4, 3)


def made(name, grid=MOVED):
    kind, _, presets = method_entry(name).resolved()
    method = build_method(kind, name, presets["smoke"], grid=grid, seed=0).eval()
    rng = torch.Generator().manual_seed(1)
    for parameter in method.parameters():  # untrained networks often add nothing to an interpolation
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.05, generator=rng)
    return method


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_makes_of_moved_sections_what_it_makes_of_canonical_ones_moved(name):
    sections = torch.rand(1, 1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    method = made(name)
    found = reconstruct_tile(method, Tile(sections, MOVED), spread=method.has_spread)
    longer = torch.cat([sections[:, :, :1], sections], dim=2)
    wanted = reconstruct_tile(method, Tile(longer, SectionGrid.kept_every(4)), spread=method.has_spread)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == (1, 1, 16, 16, 16)
        assert torch.equal(one, other[:, :, 1:17])


def test_a_method_that_asks_the_grid_gets_it_and_others_a_canonical_one():
    kind, _, _ = method_entry("lateral-cnn").resolved()
    assert build_method(kind, "lateral-cnn", {}, grid=MOVED, seed=0).grid == SectionGrid.kept_every(4)

    class Asking(Method):
        any_grid = True

        def __init__(self, scale, grid):
            super().__init__()
            self.known = scale, grid

        def reconstruct(self, tile):
            assert tile.grid == MOVED and tile.observed.shape[2] == 3
            return torch.zeros(1, 1, 12, 5, 6)

    method = build_method(Asking, "asking", {}, grid=MOVED, seed=0)
    assert method.known == (4, MOVED)
    assert reconstruct_tile(method, Tile(torch.rand(1, 1, 3, 5, 6), MOVED))[0].shape == (1, 1, 12, 5, 6)


@pytest.mark.parametrize("name", ["linear", "bicubic", "bspline3", "lanczos3", "lateral-cnn"])
def test_a_reconstruction_does_not_depend_on_block_size_if_sections_begin_behind_the_first_voxel(name, tmp_path):
    truth = Volume(textured((48, 20, 18)), None, "x")
    observed = degrade(truth, Subsample(4, 3))
    like = Volume(observed.read(observed.whole), None, "float")
    kind, _, presets = method_entry(name).resolved()
    arguments = presets.get("default", {"width": 4, "blocks": 1})
    method = build_method(kind, name, arguments, grid=observed.grid, seed=0).eval()
    if name == "lateral-cnn":
        torch.nn.init.normal_(method.net.tail.weight, std=0.05)
    halo, found = method.tile.halo, []
    for z in (20, 2, 5):
        method.tile = TileShape(z, 9, 20, halo=halo)
        path = tmp_path / f"{z}" / "made.zarr"
        path.parent.mkdir()
        reconstruct_volume(method, observed, path, like=like)
        volume = open_volume(path)
        found.append(volume.read(volume.whole))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-6)
    if name != "lateral-cnn":
        np.testing.assert_allclose(found[0][3::4], observed.read(observed.whole), atol=1e-6)


def test_blocks_see_one_more_section_only_where_sections_are_moved():
    shape, tile = (8, 4, 4), TileShape(4, 4, 4, halo=(1, 0, 0))
    reach = {
        grid.first: [b.tile.start[0] for b in TilePlan.of(shape, grid, tile).tiles()]
        for grid in (MOVED, MOVED.canonical)
    }
    assert reach == {3.0: [0, 2], 0.0: [0, 3]}
    assert [b.tile.start[0] for b in TilePlan.of(shape, SectionGrid.slabs(4), tile).tiles()] == [0, 3]


def test_sections_that_cannot_be_moved_by_whole_voxels_are_refused_by_methods_that_do_not_ask():
    between = SectionGrid(4, 0.5, 0)
    assert reconstruct_tile(Interpolation("linear"), Tile(torch.rand(1, 1, 3, 5, 6), between))[0].shape[2] == 12
    with pytest.raises(ConfigError, match="whole voxels"):
        reconstruct_tile(made("lateral-cnn"), Tile(torch.rand(1, 1, 3, 16, 16), between))


@pytest.mark.parametrize(
    "patches",
    [
        LateralSections(16, 16),
        LateralPairs((2, 16, 16)),
        IsotropicBlocks(2, 16),
        SectionWindows(16),
        Gaps(16, (0,)),
        Gaps(16, (1, 2)),
        UnpairedSections(16, 16),
        UnpairedSections(16, 16, orientations=True),
    ],
    ids=str,
)
def test_what_is_learned_does_not_depend_on_where_sections_begin(patches):
    """Patches are drawn at any place and begin with a section, so that observed and true ones register as ever."""
    truth = Volume(textured((32, 32, 32)), None, "x")
    observed = degrade(truth, Subsample(4))
    sources = [
        Source.of([observed], Subsample(4, offset), "isotropic", truth=[truth], validation=[observed])
        for offset in (0, 3)
    ]
    assert sources[1].degradation == Subsample(4)
    for number in range(3):
        one, other = (patches.draw(source, derive(0, "offset", number)) for source in sources)
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_emgauss_passes_on_sections_where_they_were_kept():
    kind, _, presets = method_entry("emgauss").resolved()
    method = build_method(kind, "emgauss", presets["smoke"] | {"steps": [1, 1, 1]}, grid=MOVED, seed=0).eval()
    sections = torch.rand(1, 1, 3, 12, 12)
    result = reconstruct_tile(method, Tile(sections, MOVED))[0]
    assert torch.equal(result[:, :, 3::4], sections)


def test_noise_belongs_to_the_same_voxels_in_every_tile():
    method = made("irsde")
    sections = torch.rand(1, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    method.least = (1, 1)
    seen = []
    method.restore = lambda part, noise=None, **more: seen.append(noise("start")) or part.repeat_interleave(4, dim=2)
    for start in (0, 2):
        reconstruct_tile(method, replace(Tile(sections[:, :, start:], MOVED), origin=(start, 0, 0)))
    whole, part = seen[0], seen[len(seen) // 2]
    assert torch.equal(whole[:, :, 8 : 8 + part.shape[2]], part)
