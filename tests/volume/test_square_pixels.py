"""Pixels that are not square are made so when they are read: same field of view, same place, same dtype."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.errors import DataError
from vemrecon.volume import Reading, Region, Volume, VoxelSize, open_volume
from vemrecon.volume.geometry import require_square
from vemrecon.volume.square import with_square_pixels

PLACE = (400.0, -12.5, 8.0)


@given(
    coarse=st.floats(1.02, 6),
    axis=st.sampled_from([1, 2]),
    count=st.integers(1, 9),
    dtype=st.sampled_from(["u1", "f4"]),
)
def test_it_is_linear_interpolation_at_the_centres_of_the_new_pixels(coarse, axis, count, dtype):
    shape = (3, count, 5) if axis == 1 else (3, 5, count)
    voxels = textured((8, 16, 16))[: shape[0], : shape[1], : shape[2]].astype(dtype)
    edges = [30.0, 4.0, 4.0]
    edges[axis] *= coarse
    volume = Volume(voxels, VoxelSize(*edges), "v", origin=PLACE)
    made = with_square_pixels(volume)
    assert tuple(made.voxel_size) == (30, 4, 4) and made.dtype == volume.dtype
    assert count * edges[axis] - 4 < made.shape[axis] * 4 <= count * edges[axis] + 1e-3
    old = PLACE[axis] + edges[axis] * np.arange(count)
    new = made.origin[axis] + 4 * np.arange(made.shape[axis])
    assert new[0] - 2 == pytest.approx(old[0] - edges[axis] / 2), "the border stays where it was"
    expected = np.apply_along_axis(lambda line: np.interp(new, old, line), axis, voxels.astype(float))
    found = made.read_raw(made.whole)
    tolerance = 0.5 + 1e-6 if dtype == "u1" else 1e-3
    np.testing.assert_allclose(found.astype(float), expected, atol=tolerance)
    others = [n for n in range(3) if n != axis]
    assert all(made.origin[n] == PLACE[n] and made.shape[n] == shape[n] for n in others)


@given(st.data())
def test_a_part_is_the_part_of_the_whole(data):
    made = with_square_pixels(Volume(textured((4, 12, 12)), VoxelSize(40, 10, 4), "v"))
    whole = made.read_raw(made.whole)
    start = [data.draw(st.integers(0, n - 1)) for n in made.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, made.shape, strict=True)]
    part = Region(tuple(start), tuple(stop))
    np.testing.assert_array_equal(made.read_raw(part), whole[part.slices])
    cropped = made.crop(part).with_axis_first(2)
    assert cropped.origin == made.crop(part).origin[::-1]
    np.testing.assert_array_equal(cropped.read_raw(cropped.whole), whole[part.slices].transpose(2, 1, 0))


def test_square_pixels_stay_as_they_are_and_others_are_refused_where_they_matter(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["raw"] = textured((6, 16, 16))
        file["raw"].attrs["resolution"] = (50, 5, 10)
    volume = open_volume(tmp_path / "v.h5")
    assert volume.shape == (6, 16, 16), "reading alone changes nothing"
    with pytest.raises(DataError, match=r"y 5 nm and x 10 nm; say --square-pixels"):
        require_square(volume)
    made = open_volume(tmp_path / "v.h5", reading=Reading(square_pixels=True))
    require_square(made)
    assert made.shape == (6, 16, 32) and "64" not in made.notes[0] and "16 pixels become 32" in made.notes[0]
    assert with_square_pixels(made) is made
    almost = Volume(textured((4, 8, 8)), VoxelSize(40, 4, 4.03), "v")
    require_square(almost)
    assert with_square_pixels(almost) is almost and almost.voxel_size.anisotropy == pytest.approx(10, rel=0.01)
    with pytest.raises(DataError, match="no anisotropy"):
        _ = VoxelSize(50, 5, 10).anisotropy


@given(edges=st.tuples(*[st.floats(1, 100)] * 3))
def test_x_is_never_the_long_axis_without_a_word(edges):
    volume = Volume(textured((2, 4, 4)), VoxelSize(*edges), "v")
    z, y, x = edges
    if x > 1.51 * max(z, y):
        with pytest.raises(DataError, match="x is the long axis"):
            require_square(volume)
    elif 0.995 < x / y < 1.005:
        require_square(volume)
    turned = Volume(volume.array, VoxelSize(*sorted(edges, reverse=True)), "v")
    if not turned.voxel_size.square:
        with pytest.raises(DataError, match="not square"):
            require_square(turned)


def test_a_given_size_that_corrects_the_unit_corrects_that_of_the_origin(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["raw"] = textured((4, 8, 8))
        file["raw"].attrs["resolution"], file["raw"].attrs["offset"] = (0.04, 0.004, 0.004), (0.08, 0.02, 0.004)
    assert open_volume(tmp_path / "v.h5", voxel_size=VoxelSize(40, 4, 4)).origin == pytest.approx((80, 20, 4))
    assert open_volume(tmp_path / "v.h5", voxel_size=VoxelSize(50, 4, 4)).origin == (0.08, 0.02, 0.004)
