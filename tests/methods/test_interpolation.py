"""Interpolation kernels: invariants, equivalent library calls, weights of the baselines page."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import textured

from vemrecon.methods.base import Tile, reconstruct_tile
from vemrecon.methods.interpolation import REACH, Interpolation, interpolation_matrix
from vemrecon.volume import SectionGrid

KERNELS = tuple(REACH)
GRIDS = ("centred", "aligned")

# rows of the table of check weights in the specification of the baselines (r = 4, n = 8)
CHECK_ROWS = {
    ("aligned", "cubic_a-0.75", 13): {2: -0.105469, 3: 0.878906, 4: 0.261719, 5: -0.035156},
    ("aligned", "lanczos3", 14): {1: 0.024457, 2: -0.135870, 3: 0.611413, 4: 0.611413, 5: -0.135870, 6: 0.024457},
    ("aligned", "bspline3", 1): {0: 0.784315, 1: 0.269291, 2: -0.067970, 3: 0.018212, 4: -0.004880, 5: 0.001308},
    ("aligned", "cubic_a-0.5", 31): {6: -0.023438, 7: 1.023438},
    ("aligned", "nearest", 14): {4: 1.0},
    ("centred", "linear", 13): {2: 0.125, 3: 0.875},
    ("centred", "cubic_a-0.75", 0): {0: 1.109863, 1: -0.109863},
    ("centred", "bspline3", 13): {0: 0.006679, 1: -0.031604, 2: 0.119899, 3: 0.968021, 4: -0.079876, 5: 0.021403},
    ("centred", "lanczos3", 13): {0: 0.001839, 1: -0.030598, 2: 0.120650, 3: 0.972647, 4: -0.084994, 5: 0.020456},
}


@pytest.mark.parametrize("case", CHECK_ROWS, ids=str)
def test_weights_equal_the_rows_of_the_specification(case):
    grid, kernel, z = case
    if (grid, kernel) == ("aligned", "nearest"):
        assert interpolation_matrix(kernel, 8, SectionGrid.of_kind(grid, 4))[z].argmax() == 4
    row = interpolation_matrix(kernel, 8, SectionGrid.of_kind(grid, 4))[z]
    for i, weight in CHECK_ROWS[case].items():
        assert row[i] == pytest.approx(weight, abs=6e-7)


@given(st.sampled_from(KERNELS), st.sampled_from(GRIDS), st.integers(1, 24), st.floats(1.1, 12))
@settings(max_examples=80, deadline=None)
def test_rows_sum_to_one(kernel, grid, sections, scale):
    matrix = interpolation_matrix(kernel, sections, SectionGrid.of_kind(grid, scale))
    assert matrix.shape == (round(sections * scale), sections)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kept_sections_are_reproduced_exactly(kernel):
    np.testing.assert_allclose(interpolation_matrix(kernel, 9, SectionGrid.kept_every(5))[::5], np.eye(9), atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_which_kernels_reproduce_a_ramp(kernel, grid):
    sections, scale = 40, 4
    z = np.arange(sections * scale)
    u = (z + 0.5) / scale - 0.5 if grid == "centred" else z / scale
    result = interpolation_matrix(kernel, sections, SectionGrid.of_kind(grid, scale)) @ np.arange(sections)
    inner = slice(16 * scale, -16 * scale)
    exact = np.abs(result - u)[inner].max() < 1e-7
    assert exact == (kernel in ("linear", "cubic_a-0.5", "bspline3"))


@pytest.mark.parametrize(("kernel", "mode"), [("linear", "bilinear"), ("cubic_a-0.75", "bicubic")])
def test_centred_kernels_equal_torch_interpolate(kernel, mode):
    sections = torch.rand(1, 1, 12, 5, dtype=torch.float64)
    wanted = torch.nn.functional.interpolate(sections, scale_factor=(4, 1), mode=mode, align_corners=False)
    ours = torch.from_numpy(interpolation_matrix(kernel, 12, SectionGrid.slabs(4))) @ sections[0, 0]
    torch.testing.assert_close(ours, wanted[0, 0], atol=1e-12, rtol=0)


@pytest.mark.parametrize(("kernel", "mode"), [("linear", "bilinear"), ("cubic_a-0.75", "bicubic")])
def test_aligned_kernels_equal_torch_interpolate_between_kept_sections(kernel, mode):
    sections = torch.rand(1, 1, 12, 5, dtype=torch.float64)
    wanted = torch.nn.functional.interpolate(sections, size=(11 * 4 + 1, 5), mode=mode, align_corners=True)
    ours = torch.from_numpy(interpolation_matrix(kernel, 12, SectionGrid.kept_every(4))) @ sections[0, 0]
    torch.testing.assert_close(ours[:45], wanted[0, 0], atol=1e-12, rtol=0)


def test_centred_bspline_equals_scipy_zoom():
    sections = np.random.default_rng(0).random((31, 3))
    wanted = scipy.ndimage.zoom(sections, (8, 1), order=3, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(
        interpolation_matrix("bspline3", 31, SectionGrid.slabs(8)) @ sections, wanted, atol=1e-12
    )


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_constant_volume_stays_constant(kernel, grid):
    observed = torch.full((1, 1, 9, 4, 5), 0.25)
    result = reconstruct_tile(Interpolation(kernel), Tile(observed, SectionGrid.of_kind(grid, 3)))[0]
    torch.testing.assert_close(result, torch.full((1, 1, 27, 4, 5), 0.25))


def test_shifting_by_one_section_lowers_the_agreement_in_both_degradations():
    """Registration: d = 0 is the best shift, and the parabola through d = -1, 0, 1 has its top within 0.1 voxel."""
    truth = textured((96, 24, 24)).astype(np.float64)
    for grid, observed in (
        ("aligned", truth[::4]),
        ("centred", truth.reshape(24, 4, 24, 24).mean(axis=1)),
    ):
        for kernel in ("linear", "cubic_a-0.75", "cubic_a-0.5", "bspline3", "lanczos3"):
            result = np.tensordot(interpolation_matrix(kernel, 24, SectionGrid.of_kind(grid, 4)), observed, axes=1)
            low, best, high = (((truth[1:-5] - result[1 + d : 91 + d]) ** 2).mean() for d in (-1, 0, 1))
            assert best < min(low, high), (grid, kernel)
            top = 0.5 * (low - high) / (low - 2 * best + high)
            assert abs(top) < 0.1, (grid, kernel, top)


@given(st.sampled_from(KERNELS), st.integers(3, 12), st.data())
@settings(max_examples=40, deadline=None)
def test_missing_sections_are_filled_from_the_nearest_recorded_ones_alone(kernel, count, data):
    sections = data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=count - 1), label="sections")
    recorded = [z for z in range(count) if z not in sections]
    ramp = torch.arange(count, dtype=torch.float32)[:, None, None].expand(count, 2, 3) / count
    spoilt = ramp.clone()
    spoilt[sections] = torch.nan
    filled = Interpolation(kernel).inpaint(spoilt, sections)
    assert (filled[recorded] == ramp[recorded]).all()
    for z in sections:
        if kernel == "nearest":
            far = min(abs(z - k) for k in recorded)
            near = max(k for k in recorded if abs(z - k) == far)  # a tie goes to the later section
            assert (filled[z] == ramp[near]).all()
        else:  # a ramp is mended where sections lie on both sides, and repeated beyond
            expected = ramp[min(max(z, recorded[0]), recorded[-1])]
            torch.testing.assert_close(filled[z], expected)
