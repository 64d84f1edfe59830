"""Which objects are followed through sections, and how tracks are compared."""

import numpy as np
import pytest

from vemrecon.errors import DataError
from vemrecon.metrics.tracks import as_bits, components, followed, mean_iou


def columns(*sizes: tuple[int, int, int], shape: tuple[int, int, int] = (10, 16, 200)) -> np.ndarray:
    """Objects side by side along x, 16 high: each from a first section to a last, and so wide."""
    ids, x = np.zeros(shape, dtype=np.int64), 0
    for number, (first, last, width) in enumerate(sizes, start=1):
        ids[first:last, :, x : x + width] = 10 * number
        x += width
    return ids


def test_the_largest_objects_that_are_visible_first_and_reach_half_are_followed():
    ids = columns((0, 10, 5), (0, 10, 20), (1, 10, 60), (0, 4, 50), (0, 5, 30), (0, 10, 3))
    assert followed(ids) == [20, 50, 10], "30 begins late, 40 ends early, 60 is too small in the first section"
    assert followed(ids, most=2) == [20, 50]


def test_no_more_objects_are_followed_than_a_byte_has_bits():
    ids = columns(*((0, 10, 5 + n) for n in range(10)))
    assert followed(ids) == [100, 90, 80, 70, 60, 50, 40, 30]
    bits = as_bits(ids, followed(ids))
    assert bits.dtype == np.uint8 and (bits[ids == 30] == 128).all() and (bits[ids == 20] == 0).all()


def test_components_meet_at_corners_and_ids_do_not_part_them():
    mask = np.zeros((4, 4, 4), dtype=np.int64)
    mask[0, 0, 0], mask[1, 1, 1], mask[3, 3, 3] = 7, 9, 7
    found = components(mask)
    assert found[0, 0, 0] == found[1, 1, 1] != 0
    assert found.max() == 2 and found[3, 3, 3] not in (0, found[0, 0, 0])


def test_iou_counts_the_voxels_of_all_later_sections_together():
    true, found = (np.zeros((3, 4, 4), dtype=np.uint8) for _ in range(2))
    true[1], found[1] = 1, 1
    true[2, :2] = 1
    assert mean_iou(true, found, 1) == pytest.approx(16 / 24)
    found[0] = 255
    assert mean_iou(true, found, 1) == pytest.approx(16 / 24), "the first section was given"


def test_iou_is_the_mean_over_objects_that_may_overlap():
    true, found = (np.zeros((2, 4, 4), dtype=np.uint8) for _ in range(2))
    true[1] = 0b11
    found[1, :1] = 0b01
    found[1, :3] |= 0b10
    assert mean_iou(true, found, 2) == pytest.approx((1 / 4 + 3 / 4) / 2)
    assert mean_iou(true, found, 3) == pytest.approx((1 / 4 + 3 / 4 + 1) / 3), "in neither: nothing is wrong"


def test_a_single_section_cannot_be_compared():
    one = np.ones((1, 4, 4), dtype=np.uint8)
    with pytest.raises(DataError, match="two sections"):
        mean_iou(one, one, 1)
