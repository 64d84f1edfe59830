"""How far the rotations or samples of a method disagree, and how well that tells where the method errs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.metrics.rows import Scope
from vemrecon.metrics.score import Reference, Score
from vemrecon.metrics.tiles import Readable, read_pair
from vemrecon.volume.region import Region

SLAB_VOXELS = 2**22
ERRORS = 256  # absolute errors of 8-bit grey levels
CLASSES = 0x4380  # of uncertainty: the first 16 bits of the float32 numbers below 256, ordered as the numbers are
CURVE_POINTS = 20

Counts = NDArray[np.int64]


def uncertainty_scores(
    spread: Readable, scope: Scope | None = None, left_out: Collection[int] = ()
) -> tuple[Score, ...]:
    """Mean and 99th percentile of the standard deviation over rotations or samples, in grey levels of 0..255.

    Args:
        spread: Standard deviation per voxel in [0, 1].
        scope: What is scored; everything by default.
        left_out: Positions along z of sections that do not count.

    Source: metrics.md, section 6. The percentile is the smallest value that 99 % of the voxels do not exceed.
    """
    scope = scope or Scope("all", "all", Region.whole(spread.shape))
    classes = np.zeros(CLASSES, dtype=np.int64)
    total = 0.0
    for _, grey in _parts(spread, scope.region, left_out):
        total += float(grey.sum(dtype=np.float64))
        classes += np.bincount(_class_of(grey), minlength=CLASSES)
    voxels = int(classes.sum())
    if not voxels:
        return tuple(_row(scope, name, None, "grey", "no section left") for name in ("mean", "p99"))
    # Among the values of the class where the percentile falls, the last 16 bits decide.
    rank = int(np.ceil(0.99 * voxels))
    first = int(np.searchsorted(np.cumsum(classes), rank))
    last = np.zeros(2**16, dtype=np.int64)
    for _, grey in _parts(spread, scope.region, left_out):
        last += np.bincount(grey.view(np.uint32)[_class_of(grey) == first] & 0xFFFF, minlength=len(last))
    below = int(classes[:first].sum())
    bits = (first << 16) + int(np.searchsorted(np.cumsum(last), rank - below))
    percentile = float(np.uint32(bits).view(np.float32))
    return (_row(scope, "mean", total / voxels, "grey"), _row(scope, "p99", percentile, "grey"))


def calibration(
    truth: Readable, reconstruction: Readable, spread: Readable, scope: Scope, left_out: Collection[int] = ()
) -> tuple[Score, dict[str, Any]]:
    """Whether voxels of large uncertainty are those of large error.

    Ranks of the error are exact; uncertainties that differ by less than 0.4 % may share a rank.

    Args:
        truth: Reference volume; errors are absolute differences of 8-bit grey levels.
        reconstruction: Volume of the same shape.
        spread: Uncertainty per voxel in [0, 1], same shape.
        scope: What is scored.
        left_out: Positions along z of sections that do not count, such as those that were copied from the input.

    Returns:
        Spearman's correlation as a row, and a curve of {uncertainty, error}: means of up to 20 classes of voxels, of
        about equal number, in rising order, in grey levels.

    Source: metrics.md, section 6.
    """
    joint = np.zeros((CLASSES, ERRORS), dtype=np.int64)
    sums = np.zeros(CLASSES)
    for slab, grey in _parts(spread, scope.region, left_out):
        a, b = (v.numpy().astype(np.int64)[_counted(slab, left_out)] for v in read_pair(truth, reconstruction, slab))
        classes = _class_of(grey)
        joint += np.bincount(classes * ERRORS + np.abs(a - b).ravel(), minlength=joint.size).reshape(joint.shape)
        sums += np.bincount(classes, weights=grey, minlength=CLASSES)
    value = _spearman(joint)
    note = "" if value is not None else "not defined: uncertainty or error is the same everywhere"
    return _row(scope, "spearman", value, "", note), _curve(joint, sums)


def _counted(slab: Region, left_out: Collection[int]) -> NDArray[np.bool_]:
    return np.array([z not in left_out for z in range(slab.start[0], slab.stop[0])])


def _parts(spread: Readable, region: Region, left_out: Collection[int]) -> Iterator[tuple[Region, NDArray[np.float32]]]:
    """Uncertainties in grey levels of the sections that count, one thin slab after another."""
    for slab in region.blocks((max(1, SLAB_VOXELS // (region.shape[1] * region.shape[2])), *region.shape[1:])):
        values = spread.read(slab)[_counted(slab, left_out)].ravel()
        yield slab, np.clip(values.astype(np.float32) * np.float32(255), 0, 255)


def _class_of(grey: NDArray[np.float32]) -> NDArray[np.int64]:
    return (grey.view(np.uint32) >> 16).astype(np.int64)


def _spearman(joint: Counts) -> float | None:
    """Correlation of the ranks behind a table of counts, equal values having the mean of their ranks."""
    deviations, variances = [], []
    for counts in (joint.sum(axis=1), joint.sum(axis=0)):
        ranks = np.cumsum(counts) - (counts - 1) / 2
        deviation = ranks - (counts.sum() + 1) / 2
        deviations.append(deviation)
        variances.append(float((counts * deviation**2).sum()))
    if not all(variances):
        return None
    return float(deviations[0] @ joint @ deviations[1] / np.sqrt(variances[0] * variances[1]))


def _curve(joint: Counts, sums: NDArray[np.float64]) -> dict[str, Any]:
    counts = joint.sum(axis=1)
    middle = np.cumsum(counts) - counts / 2
    groups = np.minimum((middle / max(1, counts.sum()) * CURVE_POINTS).astype(np.int64), CURVE_POINTS - 1)
    voxels, spread, error = (
        np.bincount(groups, weights=weights, minlength=CURVE_POINTS)
        for weights in (counts, sums, joint @ np.arange(ERRORS))
    )
    known = voxels > 0
    return {
        "uncertainty": (spread[known] / voxels[known]).tolist(),
        "error": (error[known] / voxels[known]).tolist(),
    }


def _row(scope: Scope, variant: str, value: float | None, unit: str, note: str = "") -> Score:
    of = Reference.TRUTH if variant == "spearman" else Reference.NONE
    return Score("uncertainty", variant, "volume", scope.range, scope.block, value, unit, note=note, reference=of)
