"""Scores are kept for enough blocks to tell methods apart, where a volume has room for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vemrecon.bench.scoring import evaluation_blocks
from vemrecon.volume import Region

SIDES = st.integers(1, 300)


@pytest.mark.parametrize(
    ("shape", "count", "side"),
    [
        ((240, 250, 250), 8, 125),  # fib25s
        ((480, 520, 520), 64, 130),
        ((128, 128, 128), 8, 64),  # hemibrains
        ((32, 192, 320), 15, 64),  # cremis: one block along z
        ((120, 160, 160), 8, 80),
        ((40, 48, 48), 0, 0),  # room for a single one
    ],
)
def test_small_volumes_have_smaller_blocks(shape, count, side):
    found = evaluation_blocks(Region.whole(shape))
    assert len(found) == count
    assert all(block.shape[2] == side for block in found.values())


@given(st.tuples(SIDES, SIDES, SIDES))
def test_blocks_tile_the_volume(shape):
    found = list(evaluation_blocks(Region.whole(shape)).values())
    if found:
        assert sum(block.voxels for block in found) == Region.whole(shape).voxels
        assert all(one.intersection(other) is None for n, one in enumerate(found) for other in found[:n])
    else:
        assert max(shape) < 96, "shorter than one and a half of the smallest blocks"
