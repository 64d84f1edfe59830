"""Segmentation: what a segmenter of the dataset finds in a reconstruction, against labels and against the truth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Need, Reference
from vemrecon.metrics.spec import LATERAL, REFERENCE, MetricSpec, judged

REFERENCES = {Reference.LABELS: "against labels", Reference.TRUTH: "against what is found in the truth"}
"""What a segmentation is compared with, in words."""


@dataclass(frozen=True)
class Measure:
    """One measure of a segmentation."""

    label: str
    better: Better
    style: str
    unit: str
    words: str
    references: tuple[Reference, ...] = tuple(REFERENCES)
    """Where it is shown; the files hold all."""


_LABELS = (Reference.LABELS,)
MEASURES = {
    "iou": Measure("IoU", Better.HIGH, "3", "", "voxels in both masks over voxels in either; 1 for equal masks"),
    "dice": Measure("Dice", Better.HIGH, "3", "", "twice the voxels in both masks over the sum of their sizes"),
    "ap": Measure("AP", Better.HIGH, "3", "", "average precision: how far voxels of the mask rank above others"),
    "are": Measure("ARE", Better.LOW, "3", "",
                   "adapted Rand error of the neurons that the membranes leave; 0 for equal ones"),
    "voi_split": Measure("VOI split", Better.LOW, "3", "bit",
                         "variation of information that comes from neurons cut in parts", _LABELS),
    "voi_merge": Measure("VOI merge", Better.LOW, "3", "bit", "the same, from neurons grown together", _LABELS),
    "voi": Measure("VOI", Better.LOW, "3", "bit", "variation of information: split and merge together"),
    "breaks": Measure("breaks", Better.ZERO, "tally", "",
                      "parts of at least 100 voxels that are too many; below 0: grown together or lost"),
    "overlap_volume": Measure("overlap", Better.NEITHER, "3", "µm³", "volume in both masks"),
}  # fmt: skip


def masks_file(name: str) -> str:
    """File of a run that shows what was found, by the name of that; one that every file system takes."""
    return f"segmentation-{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-')}.npz"


def _columns(kind: str, axis: str) -> Sequence[Column]:
    return tuple(
        Column(
            metric, "volume", m.label, m.label, m.better, m.style, m.unit, per_target=True,
            default=metric == "iou" and reference == Reference.LABELS, rank=1, reference=reference, help=m.words,
        )
        for reference in REFERENCES
        for metric, m in MEASURES.items()
    )  # fmt: skip


def _obstacle() -> str:
    from vemrecon.segment import instances, network

    return network.obstacle() or instances.obstacle()


SPECS = (
    MetricSpec(
        "segmentation",
        "membranes, mitochondria and neurons that a segmenter finds: IoU, Dice, adapted Rand error, VOI, breaks",
        _columns, judged("segmentation"), kinds=frozenset({REFERENCE, LATERAL}),
        needs=frozenset({Need.TRUTH, Need.LABELS, Need.WEIGHTS}), slow=True,
        obstacle=_obstacle, place=130,
    ),
)  # fmt: skip
