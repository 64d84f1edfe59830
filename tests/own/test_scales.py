"""Any scale that a method takes, thin volumes and odd sides: every built-in method, as small as its presets are."""

import numpy as np
import pytest
from preset_arguments import preset_arguments
from small_volumes import textured

from vemrecon.data.patches import LateralPairs, LateralSections
from vemrecon.data.source import Source
from vemrecon.degradations import make_degradation
from vemrecon.infer.reconstruct import reconstruct_array
from vemrecon.methods.build import build_method
from vemrecon.methods.registry import built_in_methods
from vemrecon.volume import SectionGrid, Volume, VoxelSize

CASES = [
    ((5, 17, 23), SectionGrid.slabs(2.5)),
    ((2, 9, 11), SectionGrid.kept_every(17.5)),
    ((2, 17, 23), SectionGrid.slabs(4)),
    ((3, 9, 11), SectionGrid.kept_every(8, offset=2)),
]


def recorded(shape, grid):
    voxels = textured((4 * shape[0], *shape[1:]))[::4]
    return Volume(voxels, VoxelSize(5 * grid.scale, 5, 5), "v", grid=grid)


def built(name, grid):
    kind = built_in_methods()[name].load()
    return build_method(kind, name, preset_arguments(name, "smoke"), grid=grid, seed=0).eval()


@pytest.mark.parametrize("name", built_in_methods())
def test_every_method_makes_as_many_sections_as_the_scale_says_or_declines(name):
    declined = 0
    for shape, grid in CASES:
        method = built(name, grid)
        if method.supports(grid.scale, grid):
            declined += 1
            assert not grid.scale.is_integer()
            continue
        volume = recorded(shape, grid)
        made = reconstruct_array(method, volume, like=volume)
        assert made.shape == (grid.extent(shape[0]), *shape[1:])
        assert made.dtype == volume.dtype and made.std() > 0
    assert declined in (0, 2)


@pytest.mark.parametrize("patches", [LateralSections(64, 48), LateralPairs((8, 64, 64))])
def test_patches_of_a_batch_are_alike_where_sections_are_smaller_and_not_square(patches):
    volumes = [recorded(shape, SectionGrid.slabs(2)) for shape in ((5, 9, 11), (3, 30, 14))]
    source = Source.of(volumes, make_degradation("average", 2), "self")
    drawn = [patches.draw(source, np.random.default_rng(seed)) for seed in range(30)]
    assert len({(one["observed"].shape, one["target"].shape) for one in drawn}) == 1
    assert drawn[0]["target"].shape[-2:] == (8, 9 if isinstance(patches, LateralSections) else 8)
