"""Isotropy: how alike the axes of a reconstruction are, without a truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Reference, Score
from vemrecon.metrics.spec import NATIVE, MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence


def _columns(kind: str, axis: str) -> Sequence[Column]:
    def column(
        label: str, variant: str, plane: str, better: Better, style: str, rank: int, words: str, unit: str = ""
    ) -> Column:
        return Column(
            "isotropy", plane, "Isotropy", label, better, style, unit, variant, False, rank=rank, help=words,
            reference=Reference.NONE,
        )  # fmt: skip

    return (
        column("continuity", "continuity", "ratio", Better.ONE, "2", 2,
               "mean step between voxels along z over that along y and x"),
        column("power", "power", "ratio", Better.ZERO, "2", 3,
               "axial over lateral power in the middle band; negative: axial detail is missing", "log10"),
        column("layers", "layer_contrast", "z", Better.ZERO, "3", 8,
               "steps at the borders of observed sections against those inside"),
    )  # fmt: skip


def _scores(evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.native import isotropy_scores

    found = isotropy_scores(evidence.reconstruction, evidence.grid)
    evidence.spend(3.0 * evidence.ranges["all"].voxels)
    return found


SPECS = (
    MetricSpec(
        "isotropy", "how alike axial and lateral structure are", _columns, _scores, kinds=frozenset({NATIVE}),
        needs=frozenset(), work=3, place=110,
    ),
)  # fmt: skip
