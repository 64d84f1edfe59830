"""Uncertainty against error: other libraries, ties, sections that do not count, and the curve."""

from __future__ import annotations

import numpy as np
import pytest
from metrics.metric_volumes import GreyVolume, textured
from scipy.stats import spearmanr

from vemrecon.metrics import uncertainty
from vemrecon.metrics.rows import Scope
from vemrecon.metrics.uncertainty import calibration, uncertainty_scores
from vemrecon.seeding import derive
from vemrecon.volume import Region, Volume

SHAPE = (13, 33, 29)
WHOLE = Scope("all", "all", Region.whole(SHAPE))


def made(truthful: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, reconstruction and a spread (grey levels, float32) that tells the size of the error, or a part of it."""
    draw = derive(seed, "calibration")
    truth = np.clip(textured(SHAPE), 60, 190)
    spread = draw.gamma(2.0, 4.0, SHAPE)
    error = draw.normal(0, 1, SHAPE) * (truthful * spread + (1 - truthful) * spread.mean())
    result = np.clip(np.rint(truth + error), 0, 255).astype(np.uint8)
    return truth, result, np.minimum(spread, 255).astype(np.float32)


def as_volume(spread: np.ndarray) -> Volume:
    return Volume((spread / 255).astype(np.float32), None, "uncertainty")


def test_mean_percentile_and_correlation_are_those_of_numpy_and_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "SLAB_VOXELS", 4 * 33 * 29)  # several slabs, the last one thinner
    truth, result, spread = made()
    mean, p99 = uncertainty_scores(as_volume(spread))
    error = np.abs(truth.astype(int) - result)
    correlation, _ = calibration(GreyVolume(truth), GreyVolume(result), as_volume(spread), WHOLE)
    assert mean.value == pytest.approx(spread.mean(), rel=1e-5)
    assert p99.value == pytest.approx(np.percentile(spread, 99, method="inverted_cdf"), rel=1e-6)
    assert correlation.value == pytest.approx(spearmanr(spread.ravel(), error.ravel()).statistic, abs=1e-4)
    assert [(row.variant, row.plane, row.unit) for row in (mean, p99, correlation)] == [
        ("mean", "volume", "grey"), ("p99", "volume", "grey"), ("spearman", "volume", ""),
    ]  # fmt: skip


def test_ties_share_the_mean_of_their_ranks() -> None:
    truth, result, spread = made()
    spread = np.rint(spread)  # many equal values on both sides
    error = np.abs(truth.astype(int) - result)
    correlation, _ = calibration(GreyVolume(truth), GreyVolume(result), as_volume(spread), WHOLE)
    assert correlation.value == pytest.approx(spearmanr(spread.ravel(), error.ravel()).statistic, abs=1e-9)


def test_a_spread_that_knows_more_about_the_error_correlates_more() -> None:
    found = []
    for truthful in (1.0, 0.5, 0.0):
        truth, result, spread = made(truthful)
        row, _ = calibration(GreyVolume(truth), GreyVolume(result), as_volume(spread), WHOLE)
        found.append(row.value or 0)
    assert found[0] > found[1] > found[2]
    assert abs(found[2]) < 0.03


def test_the_curve_has_classes_of_equal_number_in_rising_order() -> None:
    truth, result, spread = made()
    _, curve = calibration(GreyVolume(truth), GreyVolume(result), as_volume(spread), WHOLE)
    x, y = np.array(curve["uncertainty"]), np.array(curve["error"])
    assert len(x) == len(y) == 20 and (np.diff(x) > 0).all()
    assert x.mean() == pytest.approx(spread.mean(), rel=0.02), "every class holds about a twentieth of the voxels"
    assert y[3:] == pytest.approx(np.sqrt(2 / np.pi) * x[3:], rel=0.12)  # the errors are Gaussian


def test_sections_that_were_copied_or_are_damaged_do_not_count() -> None:
    truth, result, spread = made()
    left_out = {0, 4, 8, 12}
    result[0], spread[0] = truth[0], 0
    counted = [z for z in range(13) if z not in left_out]
    volumes = GreyVolume(truth), GreyVolume(result), as_volume(spread)
    crops = GreyVolume(truth[counted]), GreyVolume(result[counted]), as_volume(spread[counted])
    inner = Scope("all", "all", Region.whole((9, 33, 29)))
    assert calibration(*volumes, WHOLE, left_out) == calibration(*crops, inner)
    assert uncertainty_scores(volumes[2], WHOLE, left_out) == uncertainty_scores(crops[2])
    span = Scope("span", "all", Region((0, 0, 0), (9, 33, 29)))
    assert uncertainty_scores(volumes[2], span)[0].value == pytest.approx(spread[:9].mean(), rel=1e-5)
    assert uncertainty_scores(volumes[2], WHOLE, range(13))[0].note == "no section left"


def test_constant_uncertainty_has_no_correlation() -> None:
    truth, result, spread = made()
    for same in (0.0, 255.0):
        row, curve = calibration(GreyVolume(truth), GreyVolume(result), as_volume(np.full_like(spread, same)), WHOLE)
        assert (row.value, row.note) == (None, "not defined: uncertainty or error is the same everywhere")
        assert curve["uncertainty"] == pytest.approx([same])
        assert uncertainty_scores(as_volume(np.full_like(spread, same)))[1].value == pytest.approx(same)
