"""Search for common voxels of two volumes."""

import numpy as np
import pytest
import tifffile
from small_volumes import textured

from vemrecon.data.overlap import shares_content, where_is
from vemrecon.errors import DataError
from vemrecon.volume import Region, Volume, open_volume


def noise(shape, seed, dtype=np.uint8):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).normal(info.max / 2, info.max / 8, shape).clip(0, info.max).astype(dtype)


def volume(array):
    return Volume(array, None, "test")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_crop_pasted_at_an_odd_place_is_found_with_its_place(dtype):
    whole = noise((70, 90, 101), 1, np.int16).astype(dtype) if dtype != np.uint8 else noise((70, 90, 101), 1)
    crop = noise((60, 64, 80), 2).astype(dtype)
    crop[3:55, 9:60, 21:75] = whole[11:63, 37:88, 5:59]
    assert shares_content(volume(crop), volume(whole)) == (8, 28, -16)
    assert shares_content(volume(whole), volume(crop)) == (-8, -28, 16)


def test_any_overlap_of_forty_voxels_per_axis_is_found():
    big = noise((96, 300, 300), 3)
    rng = np.random.default_rng(4)
    for _ in range(25):
        start = rng.integers(0, np.array(big.shape) - 39)
        other = noise((48, 48, 48), rng.integers(1000))
        at = rng.integers(0, 9, 3)
        other[tuple(slice(a, a + 40) for a in at)] = big[tuple(slice(s, s + 40) for s in start)]
        assert shares_content(volume(big), volume(other)) == tuple(at - start)


def test_independent_volumes_are_apart():
    assert shares_content(volume(noise((80, 80, 80), 1)), volume(noise((80, 80, 80), 2))) is None
    smooth = textured((64, 64, 64), seed=1), textured((64, 64, 64), seed=2)
    assert shares_content(*map(volume, smooth)) is None


def test_even_areas_that_are_the_same_are_no_common_content():
    one, other = noise((60, 64, 64), 1), noise((60, 64, 64), 2)
    one[:, :, 32:] = 0
    other[:, :, 32:] = 0
    assert shares_content(volume(one), volume(other)) is None
    assert shares_content(volume(np.zeros((50, 50, 50), np.uint8)), volume(np.zeros((50, 50, 50), np.uint8))) is None


def test_a_row_that_occurs_by_chance_does_not_hide_the_true_place():
    whole = noise((64, 64, 64), 5)
    part = whole[8:, 8:, 8:].copy()
    whole[0, 1, 2:10] = part[0, 0, :8]  # the first probe of the part
    assert shares_content(volume(part), volume(whole)) == (8, 8, 8)


def test_only_volumes_of_one_dtype_can_be_compared():
    with pytest.raises(DataError, match="of one dtype"):
        shares_content(volume(noise((20, 20, 20), 1)), volume(noise((20, 20, 20), 1, np.uint16)))


def test_the_labelled_parts_of_epfl_are_found_in_the_volume(tmp_path):
    whole = noise((30, 96, 128), 6)
    tifffile.imwrite(tmp_path / "volumedata.tif", whole, photometric="minisblack", metadata=None)
    for name, place in (("training", (0, 0, 64)), ("testing", (0, 48, 0))):
        part = whole[:20][tuple(slice(p, p + n) for p, n in zip(place, (20, 48, 64), strict=True))]
        tifffile.imwrite(tmp_path / f"{name}.tif", part, photometric="minisblack", metadata=None)
        found = where_is(open_volume(tmp_path / f"{name}.tif"), open_volume(tmp_path / "volumedata.tif"))
        assert found == place


def test_a_part_that_is_not_the_same_everywhere_is_nowhere():
    whole = noise((40, 64, 64), 7)
    part = whole[4:34, 10:60, 8:64].copy()
    assert where_is(volume(part), volume(whole)) == (4, 10, 8)
    part[29, 49, 55] ^= 1
    assert where_is(volume(part), volume(whole)) is None
    assert where_is(volume(whole), volume(whole[4:34, 10:60, 8:64])) is None  # larger than what it should be part of


def test_the_two_fib25_samples_share_nothing_and_a_crop_of_one_is_found(fib25):
    one, other = open_volume(fib25.parents[1] / "training_sample1" / "raw.h5"), open_volume(fib25)
    assert shares_content(one, other) is None
    assert shares_content(other.crop(Region((101, 53, 77), (150, 101, 125))), other) == (101, 53, 77)
