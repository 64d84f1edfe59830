"""Tiles that are as large as memory allows: less is made twice, and the voxels are the same."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from preset_arguments import preset_arguments
from small_volumes import textured

from vemrecon.errors import ConfigError
from vemrecon.infer import estimate as estimates
from vemrecon.infer.reconstruct import reconstruct_array
from vemrecon.infer.tiles import FILE_VOXELS, TilePlan, axial_step
from vemrecon.methods import Method
from vemrecon.methods.base import TileShape
from vemrecon.methods.build import build_method
from vemrecon.methods.registry import method_entry
from vemrecon.volume import Region, SectionGrid, Volume

LENGTH = st.integers(1, 400)
FLOAT = Volume(torch.zeros(1, 1, 1).numpy(), None, "v")
NETWORKS = {"lateral-cnn": {"width": 4, "blocks": 1}, "cyclegan-ir": {"width": 4, "blocks": 1, "critic_width": 4}}


def built(name, scale=8, **arguments):
    method = build_method(method_entry(name).load(), name, arguments, grid=SectionGrid.slabs(scale), seed=0).eval()
    rng = torch.Generator().manual_seed(1)
    for parameter in method.parameters():  # untrained networks often add nothing to an interpolation
        torch.nn.init.normal_(parameter, std=0.05, generator=rng)
    return method


@settings(deadline=None)
@given(
    st.tuples(LENGTH, LENGTH, LENGTH),
    st.tuples(st.integers(0, 12), st.integers(0, 20), st.integers(0, 20)),
    st.sampled_from([8, 2.5, 3]),
    st.integers(1, 1 << 22),
    st.data(),
)
def test_larger_tiles_fit_cover_all_and_see_no_more_than_the_least(shape, halo, scale, largest, data):
    grid = SectionGrid.slabs(scale)
    step = axial_step(scale)
    first = [data.draw(st.integers(0, n - 1)) for n in shape]
    region = Region((first[0] // step * step, *first[1:]), shape)
    small = TileShape(8, 16, 16, halo=halo)
    least = TilePlan.of(shape, grid, small, region=region)
    plan = TilePlan.of(shape, grid, replace(small, largest=largest), region=region)
    assert sum(place.core.voxels for place in plan.tiles()) == region.voxels
    assert all(core >= other for core, other in zip(plan.core, least.core, strict=True)) and plan.core[0] % step == 0
    assert all(edge % core == 0 for core, edge in zip(plan.core, plan.block, strict=True))
    if plan.core != least.core:
        assert max(place.tile.voxels for place in plan.tiles()) <= largest
        assert sum(place.tile.voxels for place in plan.tiles()) <= sum(place.tile.voxels for place in least.tiles())


@pytest.mark.parametrize("shape", [(31, 250, 250), (64, 1024, 1024), (128, 1024, 1024), (1250, 2000, 2000)])
def test_a_network_of_planes_makes_less_than_a_fifth_of_a_large_volume_twice(shape):
    plan, (z, y, x) = TilePlan.of(shape, SectionGrid.slabs(8), built("lateral-cnn", blocks=4, width=4).tile), shape
    made = 0
    for place in plan.tiles():
        rows, columns = place.output.shape[1:]
        made += place.tile.shape[0] * (place.tile.shape[2] * rows + place.tile.shape[1] * columns)
    assert made <= 1.2 * 2 * z * y * x


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scale", [2, 4])
def test_a_reconstruction_does_not_depend_on_how_large_tiles_are(name, scale):
    grey = textured((21, 70, 140)).astype("float32") / 255
    observed = replace(Volume(grey, None, "v", intensity_range=(0.0, 1.0)), grid=SectionGrid.slabs(scale))
    method, found = built(name, scale, **NETWORKS[name]), []
    assert method.tile.largest
    for tile in (method.tile, replace(method.tile, z=8, y=32, x=48, largest=0)):
        method.tile = tile
        found.append(torch.from_numpy(reconstruct_array(method, observed, like=observed)))
    assert len(list(TilePlan.of(observed.shape, observed.grid, tile).tiles())) > 8
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_a_preset_that_states_tiles_gets_them(preset):
    arguments = preset_arguments("cyclegan-ir", preset) | {"width": 4, "critic_width": 4}
    method = built("cyclegan-ir", **arguments)
    plan = TilePlan.of((128, 1024, 1024), SectionGrid.slabs(8), method.tile)
    assert list(plan.core) == list(arguments["tile"])


class Wide(Method):
    """Repeats sections, as many of them at once as one likes."""

    tile = TileShape(4, 16, 16, halo=(1, 2, 2), largest=1 << 20)

    def reconstruct(self, tile):
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)


def test_smaller_blocks_have_smaller_tiles():
    shape, grid = (64, 256, 256), SectionGrid.slabs(4)
    sizes = [TilePlan.of(shape, grid, Wide.tile, FILE_VOXELS >> n).core for n in range(12)]
    voxels = [z * y * x for z, y, x in sizes]
    assert voxels == sorted(voxels, reverse=True) and sizes[-1] == Wide.tile.core and voxels[0] > 8 * voxels[-1]


def test_a_bound_of_the_memory_makes_tiles_smaller_before_it_refuses(monkeypatch):
    monkeypatch.setattr(estimates, "peak_memory", lambda: 100 << 20)
    observed = replace(Volume(textured((64, 256, 256)), None, "v"), grid=SectionGrid.slabs(4))

    def core(memory):
        most = estimates.most_voxels(memory, Wide(), observed)
        return TilePlan.of(observed.shape, observed.grid, Wide.tile, most).core

    assert core(1 << 30) == TilePlan.of(observed.shape, observed.grid, Wide.tile).core
    smaller, least = core(150 << 20), core(101 << 20)
    assert Wide.tile.core == least < smaller < core(1 << 30)
    with pytest.raises(ConfigError, match="with tiles of Wide the process takes"):
        core(100 << 20)


def test_an_estimate_makes_a_small_tile_and_counts_large_ones(monkeypatch):
    timed = []
    monkeypatch.setattr(estimates, "_timed", lambda method, observed, plan, *more: timed.append(plan.core) or 2.0)
    observed = replace(Volume(textured((16, 128, 128)), None, "v"), grid=SectionGrid.slabs(4))
    found = estimates.estimate(Wide(), observed)
    assert set(timed) == {Wide.tile.core} and found.tiles == 1
    middle = 6 * 20 * 20
    seen = sum(place.tile.voxels for place in TilePlan.of(observed.shape, observed.grid, Wide.tile).tiles())
    assert found.tile_seconds == pytest.approx(2.0 * seen / middle)
    assert found.seconds == pytest.approx(found.tile_seconds, rel=0.2)
