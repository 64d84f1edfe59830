"""MS-SSIM in three named variants."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from vemrecon.metrics.ms_ssim_variants import VARIANTS
from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import MetricSpec, section_columns

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

NAMES = {
    "ms_ssim": ("", "five scales, sides of 176 and more"),
    "ms_ssim_p11": ("p11", "five scales with padding, window of 11"),
    "ms_ssim_p5": ("p5", "five scales with padding, window of 5, sections and volume"),
}
"""Metric name to the variant that its scores carry, and what it is."""


def _scores(variant: str, evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.ms_ssim import MultiScaleStructuralSimilarity
    from vemrecon.metrics.passes import MOST_VOXELS_3D
    from vemrecon.metrics.rows import whole_section_scores

    metric = MultiScaleStructuralSimilarity(evidence.regions, variant, evidence.planes)
    limit = f" (volume: at most {MOST_VOXELS_3D} voxels)" if metric.volumes else ""
    return whole_section_scores(evidence, "ms_ssim", variant, metric, limit, 5)


SPECS = tuple(
    MetricSpec(
        name,
        f"multi-scale structural similarity, {words}",
        section_columns(
            "ms_ssim", "MS-SSIM" if name == "ms_ssim" else f"MS-SSIM {variant}",
            f"multi-scale structural similarity, {words}", variant=variant, primary=name == "ms_ssim",
            volume="three-dimensional window" if variant == "p5" else "",
        ),
        partial(_scores, variant),
        shortest=VARIANTS[variant].shortest,
        work=15,
        place=30 + n,
    )
    for n, (name, (variant, words)) in enumerate(NAMES.items())
)  # fmt: skip
