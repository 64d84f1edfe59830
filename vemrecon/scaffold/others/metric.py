"""What example measures: how far the mean grey level of a reconstruction is from that of the truth.

Nothing here may load torch when it is imported, since metrics are listed by importing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vemrecon.metrics import Score
from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.spec import MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

NAME = "example"


def columns(kind: str, axis: str) -> Sequence[Column]:
    """All scores that it gives for a kind of task along an axis."""
    return (
        Column(NAME, "volume", "Brightness", "volume", Better.ZERO, "4", help="mean grey level less that of truth"),
    )


def evaluate(evidence: Evidence) -> Iterable[Score]:
    """Its scores; volumes are read in parts, since they can be larger than memory."""
    made, truth = evidence.reconstruction, evidence.truth
    assert truth is not None  # it is what the metric needs, unless it says otherwise
    scored, total = evidence.ranges["all"], 0.0
    for part in scored.blocks((64, 512, 512)):
        total += float(made.read(part).sum(dtype=float) - truth.read(part).sum(dtype=float))
    yield Score(NAME, "", "volume", "all", "all", total / scored.voxels)


EXAMPLE = MetricSpec(NAME, "difference of mean grey levels", columns, evaluate)
