"""SAM 2: labelled objects that are followed through the xy sections of a reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Need, Reference
from vemrecon.metrics.spec import LATERAL, REFERENCE, MetricSpec, judged


def _columns(kind: str, axis: str) -> Sequence[Column]:
    words = {
        Reference.LABELS: "mean overlap of what SAM 2 follows through the sections with the labels",
        Reference.TRUTH: "the same with what it follows through the sections of the truth",
    }
    return tuple(
        Column(
            "sam2_iou", "xy", "SAM 2", "IoU", Better.HIGH, "3", per_target=True,
            default=reference == Reference.LABELS, rank=1, reference=reference, help=text,
        )
        for reference, text in words.items()
    )  # fmt: skip


def _obstacle() -> str:
    from vemrecon.segment import tracker

    return tracker.obstacle()


SPECS = (
    MetricSpec(
        "sam2", "overlap of labelled objects that SAM 2 follows through xy sections", _columns, judged("sam2"),
        kinds=frozenset({REFERENCE, LATERAL}), needs=frozenset({Need.TRUTH, Need.LABELS, Need.WEIGHTS}), slow=True,
        obstacle=_obstacle, place=140,
    ),
)  # fmt: skip
