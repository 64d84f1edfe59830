"""Predicted sections against recorded ones that were kept back, and the mean of their neighbours beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.score import Reference, Score
from vemrecon.volume import Volume, VoxelSize

Float32 = NDArray[np.float32]
UNITS = {"psnr": "dB", "ssim": ""}


def kept_back_scores(metric: str, recorded: Float32, predicted: Float32, neighbours: Float32) -> Iterator[Score]:
    """PSNR and SSIM, each of the prediction, of the mean of the neighbours, and of the former over the latter.

    Args:
        metric: That the scores belong to.
        recorded: What was kept back, shape (sections, y, x), in [0, 1].
        predicted: In its place, as are the neighbours.
        neighbours: Mean of the nearest recorded sections.
    """
    found = {"": section_means(recorded, predicted), "_neighbours": section_means(recorded, neighbours)}

    def row(variant: str, value: float | None, unit: str, std: float | None = None, note: str = "") -> Score:
        return Score(
            metric, variant, "xy", "all", "all", value, unit, std, len(recorded), note, reference=Reference.RECORDED
        )

    for name, unit in UNITS.items():
        for suffix, scores in found.items():
            yield row(name + suffix, scores[name].value, unit, scores[name].std, scores[name].note)
        mine, beside = (scores[name].value for scores in found.values())
        gain = mine - beside if mine is not None and beside is not None else None
        yield row(f"{name}_gain", gain, unit, note="" if gain is not None else "no value")


def section_means(truth: Float32, prediction: Float32) -> dict[str, Score]:
    """PSNR and SSIM over xy sections, by metric."""
    a, b = (
        Volume(np.ascontiguousarray(v, dtype=np.float32), VoxelSize(1, 1, 1), "sections")
        for v in (truth, np.clip(prediction, 0, 1))
    )
    found = evaluate(a, b, metrics=tuple(UNITS), ranges={"all": a.whole}).scores
    return {score.metric: score for score in found if score.plane == "xy"}
