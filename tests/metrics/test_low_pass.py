"""Scores after a low-pass against scipy and scikit-image, against formulas, and as sums over tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics.metric_volumes import ODD, GreyVolume, noisy, require_independence_of_tiles, textured
from metrics.metric_volumes import shown as shown_by
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vemrecon.metrics.evaluate import evaluate, judge
from vemrecon.metrics.evidence import Evidence
from vemrecon.metrics.low_pass import WITHIN_SECTIONS, LowPass, LowPassed, LowPassPSNR, LowPassSSIM
from vemrecon.metrics.score import Score
from vemrecon.metrics.sections import SectionMetric
from vemrecon.metrics.windows import window
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, Triple

NAMES = ("psnr_lowpass1", "psnr_lowpass2", "ssim_lowpass1", "ssim_lowpass2")
SHAPE: Triple = (31, 40, 36)
WHOLE = Region.whole(SHAPE)
ALL_AXES = (0, 1, 2)
METRICS: dict[str, Callable[[Sequence[Region]], LowPassed]] = {
    "psnr, sigma 1": lambda scopes: LowPassPSNR(scopes, LowPass("sigma1")),
    "psnr, sigma 2, sections": lambda scopes: LowPassPSNR(scopes, LowPass("sigma2", WITHIN_SECTIONS)),
    "ssim, sigma 1": lambda scopes: LowPassSSIM(scopes, LowPass("sigma1")),
    "ssim, sigma 1, sections": lambda scopes: LowPassSSIM(scopes, LowPass("sigma1", WITHIN_SECTIONS)),
}


def shown(metric: LowPassed, a: np.ndarray, b: np.ndarray, size: Triple = (48, 48, 48)) -> SectionMetric:
    return shown_by(metric, a, b, metric.halo, size)


def low_passed(grey: np.ndarray, sigma: int, axes: Sequence[int]) -> np.ndarray:
    """By scipy, of the whole volume at once; voxels whose window reaches out of it are cut away."""
    found = gaussian_filter(grey.astype(np.float64), [sigma if k in axes else 0 for k in range(3)], truncate=4)
    return found[tuple(slice(4 * sigma, -4 * sigma) if k in axes else slice(None) for k in range(3))]


def by_plane(found: Sequence[Score], metric: str, sigma: int) -> dict[str, Score]:
    return {s.plane: s for s in found if (s.metric, s.variant, s.block) == (metric, f"sigma{sigma}", "all")}


@pytest.mark.parametrize("sigma", [1, 2])
def test_the_window_is_that_of_scipy(sigma: int) -> None:
    impulse = np.zeros(8 * sigma + 1)
    impulse[4 * sigma] = 1
    expected = gaussian_filter(impulse, sigma, truncate=4, mode="constant")
    assert window(f"sigma{sigma}").numpy() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("axes", [ALL_AXES, WITHIN_SECTIONS])
@pytest.mark.parametrize("sigma", [1, 2])
def test_psnr_is_that_of_volumes_which_scipy_has_smoothed(sigma: int, axes: tuple[int, ...]) -> None:
    a = textured(SHAPE)
    b = noisy(a, 25)
    found = shown(LowPassPSNR([WHOLE], LowPass(f"sigma{sigma}", axes)), a, b, (16, 9, 20)).compute()[0]
    p, q = (low_passed(v, sigma, axes) for v in (a, b))
    assert found["volume"].item() == pytest.approx(peak_signal_noise_ratio(p, q, data_range=255), abs=1e-9)
    for plane, axis in NORMALS.items():
        pairs = zip(np.moveaxis(p, axis, 0), np.moveaxis(q, axis, 0), strict=True)
        expected = [peak_signal_noise_ratio(one, other, data_range=255) for one, other in pairs]
        assert found[plane].numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("axes", [ALL_AXES, WITHIN_SECTIONS])
def test_ssim_is_that_of_volumes_which_scipy_has_smoothed(axes: tuple[int, ...]) -> None:
    a = textured(SHAPE)
    b = noisy(a, 25)
    found = shown(LowPassSSIM([WHOLE], LowPass("sigma1", axes)), a, b, (16, 9, 20)).compute()[0]
    p, q = (low_passed(v, 1, axes) for v in (a, b))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert found["volume"].item() == pytest.approx(structural_similarity(p, q, **options), abs=1e-9)
    for plane, axis in NORMALS.items():
        pairs = zip(np.moveaxis(p, axis, 0), np.moveaxis(q, axis, 0), strict=True)
        expected = [structural_similarity(one, other, **options) for one, other in pairs]
        assert found[plane].numpy() == pytest.approx(expected, abs=1e-9)


@settings(max_examples=12, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 40)] * 3),
    cut=st.tuples(st.integers(20, 31), st.integers(20, 40), st.integers(20, 36)),
    name=st.sampled_from(sorted(METRICS)),
)
def test_values_do_not_depend_on_the_cut_into_tiles(size: Triple, cut: Triple, name: str) -> None:
    require_independence_of_tiles(METRICS[name], SHAPE, cut, METRICS[name]([WHOLE]).halo, size)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_nothing_outside_of_a_scope_matters(name: str) -> None:
    a = textured(SHAPE)
    b = noisy(a)
    scope = Region((2, 5, 0), (29, 38, 34))
    crop = shown(METRICS[name]([Region.whole(scope.shape)]), a[scope.slices], b[scope.slices]).compute()[0]
    elsewhere = np.full_like(b, 255)
    elsewhere[scope.slices] = b[scope.slices]
    inside = shown(METRICS[name]([scope]), a, elsewhere, (8, 8, 8)).compute()[0]
    for plane in crop:
        assert inside[plane].numpy() == pytest.approx(crop[plane].numpy(), abs=1e-9)


def test_grey_levels_are_rounded_before_the_low_pass_and_never_after() -> None:
    a = np.full(SHAPE, 100, np.uint8)
    b = a + (np.indices(SHAPE).sum(axis=0) % 2).astype(np.uint8)  # half a grey level too bright, once smoothed

    class Unrounded(GreyVolume):
        def read(self, region: Region) -> np.ndarray:
            return (self.grey[region.slices].astype(np.float32) + np.float32(0.3)) / np.float32(255)

    found = evaluate(GreyVolume(a), Unrounded(b), metrics=("psnr_lowpass2",), ranges={"all": WHOLE}).scores
    value = by_plane(found, "psnr_lowpass", 2)["volume"].value
    assert value == pytest.approx(20 * np.log10(255 / 0.5), abs=1e-6)


@pytest.mark.parametrize(("sigma", "scatter"), [(1, 0.3), (2, 1.0)])  # three times, of 4000 and 300 windows apart
def test_psnr_of_known_noise_follows_the_formula(sigma: int, scatter: float) -> None:
    a = np.full((60, 72, 66), 128, np.uint8)
    b = noisy(a, sigma=20)
    found = evaluate(
        GreyVolume(a), GreyVolume(b), metrics=(f"psnr_lowpass{sigma}",), ranges={"all": Region.whole(a.shape)}
    ).scores
    weights = window(f"sigma{sigma}").numpy()
    left = np.sqrt((20**2 + 1 / 12) * (weights**2).sum() ** 3)  # of the standard deviation, after three axes
    value = by_plane(found, "psnr_lowpass", sigma)["volume"].value
    assert value == pytest.approx(20 * np.log10(255 / left), abs=scatter)


def test_a_coarser_low_pass_leaves_less_of_noise() -> None:
    a = textured(SHAPE)
    names = ("psnr", "psnr_lowpass1", "psnr_lowpass2")
    found = evaluate(GreyVolume(a), GreyVolume(noisy(a, 25)), metrics=names, ranges={"all": WHOLE}).scores
    values = [score.value for score in found if score.plane == "volume"]
    assert len(values) == 3 and all(one + 5 < other for one, other in pairwise(values))


def test_sections_into_which_a_damaged_one_is_mixed_are_left_out_of_xy_means() -> None:
    a = textured((40, 40, 36))
    b = noisy(a)
    b[20] = 0
    ranges = {"all": Region.whole(a.shape)}
    row = by_plane(
        evaluate(GreyVolume(a), GreyVolume(b), metrics=("psnr_lowpass1",), ranges=ranges, defects=[20]).scores,
        "psnr_lowpass", 1,
    )["xy"]  # fmt: skip
    assert row.count == 40 - 8 - 9 and row.note == "9 defect sections left out"
    p, q = (low_passed(v, 1, ALL_AXES) for v in (a, b))
    expected = [peak_signal_noise_ratio(p[k], q[k], data_range=255) for k in range(32) if abs(k + 4 - 20) > 4]
    assert row.value == pytest.approx(np.mean(expected), abs=1e-9)


def test_kept_sections_are_left_out_of_xy_means_at_their_places() -> None:
    a = textured(SHAPE)
    b = noisy(a)
    kept = list(range(0, 31, 4))
    row = by_plane(
        evaluate(GreyVolume(a), GreyVolume(b), metrics=("psnr_lowpass1",), ranges={"all": WHOLE}, kept_sections=kept)
        .scores, "psnr_lowpass", 1,
    )["xy"]  # fmt: skip
    p, q = (low_passed(v, 1, ALL_AXES) for v in (a, b))
    expected = [peak_signal_noise_ratio(p[k], q[k], data_range=255) for k in range(23) if (k + 4) % 4]
    assert row.count == len(expected) and row.value == pytest.approx(np.mean(expected), abs=1e-9)


def test_a_range_that_is_too_thin_says_so() -> None:
    a = textured(ODD)
    ranges = {"all": Region.whole(ODD), "thin": Region((0, 0, 0), (16, 33, 29))}
    found = evaluate(GreyVolume(a), GreyVolume(noisy(a)), metrics=NAMES, ranges=ranges).scores
    told = {(s.metric, s.variant, s.range): (s.value is not None, s.note) for s in found if s.plane == "volume"}
    assert told["psnr_lowpass", "sigma2", "all"] == (True, "")
    assert told["psnr_lowpass", "sigma2", "thin"] == (False, "not defined: a side is shorter than 17")
    assert told["ssim_lowpass", "sigma1", "all"] == (False, "not defined: a side is shorter than 19")
    assert len(found) == 4 * 5 * 2


def test_blocks_have_scores_of_their_own() -> None:
    a = textured((64, 40, 36))
    b = noisy(a)
    whole = Region.whole(a.shape)
    blocks = {"0": Region((0, 0, 0), (32, 40, 36)), "1": Region((32, 0, 0), (64, 40, 36))}
    found = evaluate(GreyVolume(a), GreyVolume(b), metrics=("psnr_lowpass1",), ranges={"all": whole}, blocks=blocks)
    values = {s.block: s.value for s in found.scores if s.plane == "volume"}
    expected = [low_passed(v[:32], 1, ALL_AXES) for v in (a, b)]
    assert set(values) == {"all", "0", "1"}
    assert values["0"] == pytest.approx(peak_signal_noise_ratio(*expected, data_range=255), abs=1e-9)


def test_lateral_tasks_mix_no_sections() -> None:
    a = textured((6, 50, 44))
    b = noisy(a)
    order = [3, 0, 5, 1, 4, 2]

    def scored(*pair: np.ndarray) -> dict[tuple[str, str, str], float | None]:
        truth, made = map(GreyVolume, pair)
        evidence = Evidence(made, {"all": Region.whole(made.shape)}, truth=truth, kind="lateral", axis=1)
        return {(s.metric, s.variant, s.plane): s.value for s in judge(evidence, NAMES).scores}

    found = scored(a, b)
    assert {plane for _, _, plane in found} == {"xy", "volume"}
    assert found == {key: pytest.approx(value, abs=1e-9) for key, value in scored(a[order], b[order]).items()}
