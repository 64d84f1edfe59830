"""FSIM: similarity of phase congruency and gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import MetricSpec, section_columns

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence


def _scores(evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.fsim import FeatureSimilarity
    from vemrecon.metrics.rows import whole_section_scores

    return whole_section_scores(
        evidence, "fsim", "", FeatureSimilarity(evidence.whole_regions, evidence.planes), "", 15
    )


SPECS = (
    MetricSpec(
        "fsim", "feature similarity: phase congruency and gradients of sections",
        section_columns("fsim", "FSIM", "feature similarity", volume=""), _scores, slow=True, work=45, place=40,
    ),
)  # fmt: skip
