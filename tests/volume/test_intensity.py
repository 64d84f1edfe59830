"""The range of grey levels is compared with what a volume holds, before it decides a score."""

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume import RangeRule, Volume, check_range, open_volume
from vemrecon.volume.intensity import Levels, read_range

GREY = textured((8, 24, 24)) / 255


def of(values, dtype="uint16", **more):
    return Volume(np.asarray(values).astype(dtype), None, "v", **more)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_few_bits_in_sixteen_are_refused_with_their_range(bits):
    top = 2**bits - 1
    with pytest.raises(DataError, match=rf"--intensity-range 0 {top} is likely; --intensity-range 0 65535 if"):
        check_range(of(np.rint(GREY * top)))
    with pytest.raises(DataError, match=rf"--intensity-range 0 {top} is likely"):
        check_range(of(np.rint(GREY * top), "int16"))
    assert check_range(of(np.rint(GREY * top), intensity_range=(0, top), stated=True)) == ()
    assert check_range(of(np.rint(GREY * top), intensity_range=(0, 65535), stated=True)) == (), "the user knows"


def test_hot_pixels_do_not_make_sixteen_bits_of_twelve():
    voxels = np.rint(GREY * 4095)
    voxels[3, 5, 5] = 65535
    with pytest.raises(DataError, match="--intensity-range 0 4095 is likely"):
        check_range(of(voxels))
    (note,) = check_range(of(voxels, intensity_range=(0, 4095), stated=True))
    assert note == f"{1 / voxels.size:.2g} of the voxels lie outside of 0 4095 and are clipped"


@pytest.mark.parametrize("scale", [65535, 40000, 20000])
def test_values_that_fill_more_than_a_quarter_are_taken_as_they_are(scale):
    assert check_range(of(np.rint(GREY * scale))) == ()
    assert check_range(of(np.rint(GREY * scale) - 12000, "int16")) == ()


@pytest.mark.parametrize("top", [3, 60, 255])
def test_eight_bits_are_never_refused(top):
    assert check_range(of(np.rint(GREY * top), "uint8")) == ()


def test_a_narrow_band_far_from_black_has_no_likely_depth():
    with pytest.raises(DataError, match=r"--intensity-range percentile 0.1 99.9 is likely"):
        check_range(of(np.rint(GREY * 9000) + 30000))


def test_signed_levels_that_are_never_negative_have_no_black_in_the_middle():
    with pytest.raises(DataError, match="--intensity-range 0 32767 is likely"):
        check_range(of(np.rint(GREY * 32767), "int16"))
    with pytest.raises(DataError, match="--intensity-range -2048 2047 is likely"):
        check_range(of(np.rint(GREY * 4095) - 2048, "int16"))


@pytest.mark.parametrize(
    ("low", "high", "advice"),
    [
        (0, 255, "0 255 is likely"),
        (0, 65535, "0 65535 is likely"),
        (-0.1, 1.2, "0 1 is likely"),
        (-1, 1, "-1 1 is likely"),
        (-3, 4, "percentile 0.1 99.9 is likely"),
        (0, 280, "0 1023 is likely, or --intensity-range 0 255 if it overshoots"),
    ],
)
def test_floats_beyond_one_are_refused_and_advice_never_widens_what_overshoots(low, high, advice):
    with pytest.raises(DataError, match=f"--intensity-range {advice}"):
        check_range(of(low + GREY * (high - low), "float32"))


def test_floats_outside_of_a_stated_range_are_clipped_and_it_is_said():
    volume = of(GREY * 1.2 - 0.1, "float32", intensity_range=(0, 1), stated=True)
    (note,) = check_range(volume)
    assert "clipped" in note
    assert (volume.read(volume.whole).min(), volume.read(volume.whole).max()) == (0, 1)
    with pytest.raises(DataError, match="lie outside"):
        of(GREY * 1.2 - 0.1, "float32").read(volume.whole)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_percentiles_are_those_of_numpy(dtype):
    voxels = (GREY * 200).astype(dtype)
    levels = Levels.of(of(voxels, dtype))
    assert (levels.low, levels.high) == (voxels.min(), pytest.approx(voxels.max(), rel=1e-6))
    for percent in (0.1, 5, 50, 99.9):
        exact = np.percentile(voxels, percent, method="inverted_cdf")
        assert levels.percentile(percent) == pytest.approx(exact, abs=200 / 65535)


@pytest.mark.parametrize(
    ("values", "dtype", "span"),
    [
        (GREY * 4095, "uint16", (0, 4095)),
        (GREY * 65535, "uint16", (0, 65535)),
        (GREY * 255, "uint8", (0, 255)),
        (GREY * 1023 - 512, "int16", (-512, 511)),
        (GREY, "float32", (0, 1)),
        (GREY * 255, "float32", (0, 255)),
    ],
)
def test_auto_is_the_smallest_depth_that_holds_the_data(tmp_path, values, dtype, span):
    np.save(tmp_path / "v.npy", np.rint(values).astype(dtype) if dtype != "float32" else values.astype(dtype))
    volume = open_volume(tmp_path / "v.npy", intensity_range=RangeRule("auto"))
    assert volume.span == span and volume.stated


def test_percentiles_of_the_content_can_be_the_range(tmp_path):
    np.save(tmp_path / "v.npy", (GREY * 5000).astype(np.uint16))
    volume = open_volume(tmp_path / "v.npy", intensity_range=RangeRule("percentile", 10, 90))
    assert volume.span == pytest.approx(np.percentile(GREY * 5000, [10, 90]), abs=5)


@pytest.mark.parametrize("words", [["aut"], [1.0], [1.0, 2.0, 3.0], ["percentile", 1.0], ["percentile", 9.0, 1.0]])
def test_what_is_no_range_is_refused(words):
    with pytest.raises(ConfigError, match="--intensity-range"):
        read_range("--intensity-range", words)
