"""SSIM in three named variants; that with a Gaussian window of 11 is the primary one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import MetricSpec, section_columns

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

VARIANTS = {
    "ssim": ("gaussian11", "Gaussian window of 11"),
    "ssim_uniform7": ("uniform7", "uniform window of 7, as scikit-image has it by default"),
    "ssim_torchmetrics": ("torchmetrics", "Gaussian window of 11 with borders, as torchmetrics has it"),
}
"""Metric name to the variant that its scores carry, and what it is."""


def _accumulator(variant: str, evidence: Evidence) -> Any:
    from vemrecon.metrics.ssim import StructuralSimilarity

    return StructuralSimilarity(evidence.regions, variant)


def _scores(name: str, variant: str, evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.rows import section_scores
    from vemrecon.metrics.ssim import WINDOWS
    from vemrecon.metrics.windows import window

    metric = evidence.shown[name]
    values = dict(zip(evidence.regions, metric.compute(), strict=True))
    if metric.mirrors:  # its volume value is not one of a three-dimensional window
        values = {region: {p: v for p, v in found.items() if p != "volume"} for region, found in values.items()}
    note = f"not defined: a side is shorter than {len(window(WINDOWS[variant]))}"
    return section_scores(evidence, "ssim", variant, "", values, note)


SPECS = tuple(
    MetricSpec(
        name,
        f"structural similarity, {words}",
        section_columns(
            "ssim", "SSIM" if name == "ssim" else f"SSIM {variant}", f"structural similarity, {words}",
            variant=variant, primary=name == "ssim", ranks={"mean": 1, "volume": 6},
            default=("xy", "xz", "yz", "mean", "volume") if name == "ssim" else ("xy", "mean"),
            volume="" if variant == "torchmetrics" else "three-dimensional window",
        ),
        partial(_scores, name, variant),
        tiles=partial(_accumulator, variant),
        halo=lambda metric: int(metric.radius),
        tile_work=5,
        place=20 + n,
    )
    for n, (name, (variant, words)) in enumerate(VARIANTS.items())
)  # fmt: skip
