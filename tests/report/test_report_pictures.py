from __future__ import annotations

import io

import numpy as np
import pytest

from vemrecon.report.pictures import (
    LIMITS,
    centre,
    error_limit,
    error_png,
    grey_png,
    load_sections,
    palette,
    scale_bar,
    stretch,
)
from vemrecon.volume import SectionGrid


def decoded(png: bytes, mode: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert(mode))


def test_a_grey_picture_holds_every_voxel_as_it_is():
    section = np.random.default_rng(0).integers(0, 256, (17, 33), dtype=np.uint8)

    assert np.array_equal(decoded(grey_png(section), "L"), section)


def test_errors_are_blue_where_too_dark_white_where_right_and_red_where_too_bright():
    error = np.array([[-40, -20, 0, 20, 40, 90]], np.int16)

    colours = decoded(error_png(error, 40), "RGB")[0].astype(int)

    assert colours[2].tolist() == [247, 247, 247]
    assert all(blue > red for red, _, blue in colours[:2])
    assert all(red > blue for red, _, blue in colours[3:])
    assert np.array_equal(colours[4], colours[5])


def test_the_error_palette_darkens_evenly_to_both_sides():
    colours = np.frombuffer(palette(), np.uint8).reshape(255, 3).astype(float) @ [0.2126, 0.7152, 0.0722]

    assert np.all(np.diff(colours[:128]) >= 0)
    assert np.all(np.diff(colours[127:]) <= 0)
    assert abs(colours[0] - colours[-1]) < 25


def test_observed_sections_lie_where_they_were_recorded():
    truth = np.arange(20, dtype=np.uint8)[:, None]

    kept = stretch(truth[::4], truth.shape, SectionGrid.kept_every(4))
    means = stretch(truth.reshape(5, 4).mean(1).astype(np.uint8)[:, None], truth.shape, SectionGrid.slabs(4))

    later = stretch(truth[3::4], truth.shape, SectionGrid.kept_every(4, 3))

    assert np.array_equal(kept[::4], truth[::4])
    assert np.array_equal(later[3::4], truth[3::4])
    assert np.array_equal(means.ravel(), np.repeat([1, 5, 9, 13, 17], 4))


def test_a_fractional_scale_is_stretched_to_the_whole_section():
    observed = np.arange(10, dtype=np.uint8)[None, :]

    found = stretch(observed, (1, 25), SectionGrid.slabs(2.5))

    assert found.shape == (1, 25)
    assert np.all(np.diff(found.astype(int)) >= 0)
    assert (found[0, 0], found[0, -1]) == (0, 9)


def test_a_large_section_is_cut_and_never_scaled():
    section = np.random.default_rng(0).integers(0, 256, (100, 41), dtype=np.uint8)

    assert np.array_equal(centre(section, 50), section[25:75])


def test_the_error_limit_is_round_and_holds_most_errors():
    errors = [np.random.default_rng(0).normal(0, 12, (50, 50)).astype(np.int16)]

    limit = error_limit(errors)

    assert limit in LIMITS
    assert np.mean(np.abs(errors[0]) <= limit) >= 0.98
    assert error_limit([]) == LIMITS[0]


@pytest.mark.parametrize("width", [3.0, 47.0, 640.0, 2500.0, 1e6])
def test_a_scale_bar_is_round_and_at_most_a_third_of_the_picture(width: float):
    length = scale_bar(width)

    assert width / 8 < length <= width / 3
    assert f"{length:.0e}"[0] in "125"


def test_damaged_or_foreign_sections_are_refused(tmp_path):
    from vemrecon.errors import DataError

    path = tmp_path / "sections.npz"
    np.savez(path, truth_xy=np.zeros((3, 3)))

    with pytest.raises(DataError, match="uint8"):
        load_sections(path)
