"""Patches of a volume that memory does not hold are those of one that it holds, and read nothing else."""

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.data.patches import LateralPairs, LateralSections, PatchStream
from vemrecon.data.source import IN_MEMORY_BYTES, Source
from vemrecon.data.stack import OnDemand, choose_stack, common_depth, dihedral, section_crop
from vemrecon.data.unpaired import UnpairedSections
from vemrecon.degradations import make_degradation
from vemrecon.errors import DataError
from vemrecon.methods.emdiffuse.gaps import Gaps
from vemrecon.methods.irsde.noisy_sections import NoisySections
from vemrecon.methods.lateral_diffusion.noisy_crops import NoisyCrops
from vemrecon.volume import Volume

SHAPE = (17, 50, 39)
ALL = [
    LateralSections(24, 20),
    LateralSections(64, 64),
    NoisySections(24, 20, 10),
    LateralPairs((4, 24, 24)),
    LateralPairs((32, 64, 64)),
    UnpairedSections(24, 20),
    UnpairedSections(24, 20, orientations=True),
    Gaps(16, (1, 2)),
    NoisyCrops(16),
    NoisyCrops(64),
]


class Watched:
    """An array that remembers what was read of it."""

    def __init__(self, voxels):
        self.voxels, self.shape, self.dtype, self.read = voxels, voxels.shape, voxels.dtype, []

    def __getitem__(self, index):
        found = self.voxels[index]
        self.read.append(found.size)
        return found


def source(*arrays, kind="average", memory=IN_MEMORY_BYTES):
    volumes = [Volume(array, None, "v") for array in arrays]
    return Source.of(volumes, make_degradation(kind, 4), "self", validation=volumes[:1], memory=memory)


@pytest.mark.parametrize("patches", ALL, ids=str)
def test_patches_do_not_depend_on_where_the_voxels_are(patches):
    arrays = [textured(SHAPE), textured(SHAPE, 1)]
    for kind, some in (("average", arrays), ("subsample", arrays[:1])):
        held = PatchStream(source(*some, kind=kind), patches, 3, "fit", 40)
        assert isinstance(held.source.sections[0], np.ndarray)
        read = PatchStream(source(*some, kind=kind, memory=1000), patches, 3, "fit", 40)
        assert isinstance(read.source.sections[0], OnDemand)
        for index in range(40):
            one, two = held[index], read[index]
            assert one.keys() == two.keys()
            assert all(torch.equal(one[key], two[key]) for key in one)
        one, two = (s.patches.draw(s.source, np.random.default_rng(0), validation=True) for s in (held, read))
        assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("patches", ALL, ids=str)
def test_nothing_is_read_but_what_a_patch_shows(patches):
    array = Watched(np.zeros((40, 300, 310), np.uint8))
    stream = PatchStream(source(array, memory=1000), patches, 3, "fit", 10)
    for index in range(10):
        stream[index]
    shown = sum(value.numel() for value in stream[0].values())
    assert 10 <= len(array.read) <= 30
    assert max(array.read) <= 4 * shown  # all of the planes between two observed ones, of which one is shown


@pytest.mark.parametrize("turn", range(8))
def test_a_part_of_a_turned_section_is_that_of_the_whole_section(turn):
    stack = textured(SHAPE).astype(np.float32)
    for seed in range(20):
        made = section_crop(stack, 5, turn, (7, 45), np.random.default_rng(seed))
        rng, whole = np.random.default_rng(seed), dihedral(stack[5], turn)
        extent = [min(n, size) for n, size in zip((7, 45), whole.shape, strict=True)]
        y, x = (int(rng.integers(n - size + 1)) for n, size in zip(whole.shape, extent, strict=True))
        np.testing.assert_array_equal(made, whole[y : y + extent[0], x : x + extent[1]])


def test_stacks_are_drawn_by_their_size_among_those_that_are_long_enough():
    stacks = [np.zeros((z, 8, 8), np.float32) for z in (2, 6, 12)]
    rng = np.random.default_rng(0)
    drawn = [choose_stack(stacks, rng, 4).shape[0] for _ in range(3000)]
    assert set(drawn) == {6, 12} and 0.63 < drawn.count(12) / 3000 < 0.70
    assert {choose_stack(stacks, rng, 50).shape[0] for _ in range(20)} == {12}
    assert {choose_stack(stacks, rng).shape[0] for _ in range(200)} == {2, 6, 12}


@pytest.mark.parametrize(
    ("depths", "wanted", "depth"),
    [((9,), 4, 4), ((9,), 16, 9), ((9, 2, 2), 16, 9), ((5, 5, 5, 1), 9, 5), ((9, 5, 5, 5), 16, 5)],
)
def test_patches_are_as_deep_as_half_of_the_sections_allow(depths, wanted, depth):
    assert common_depth([np.zeros((z, 8, 8), np.float32) for z in depths], wanted) == depth


def test_what_must_be_in_memory_is_refused_with_what_to_do():
    class Unsafe(Watched):
        fork_safe = False

    with pytest.raises(DataError, match="train on a part of it"):
        source(Unsafe(np.zeros(SHAPE, np.uint8)), memory=1000).hold()
    source(Watched(np.zeros(SHAPE, np.uint8)), memory=1000).hold()
