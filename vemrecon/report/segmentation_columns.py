"""Columns of segmentation scores: what is found in a reconstruction, against labels or what is found in the truth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vemrecon.report.columns import APART, HIGH, LOW, ZERO, Column

GROUP = "IoU"
"""Of the columns in the main table: one for each thing that is looked for."""
LABELS, TRUTH = "labels", "truth"
REFERENCES = {LABELS: "against labels", TRUTH: "against what is found in the truth"}
"""What a segmentation is compared with, by the last word of the variant of its score."""


@dataclass(frozen=True)
class Measure:
    """One measure of a segmentation."""

    label: str
    better: str
    style: str
    unit: str
    words: str


MEASURES = {
    "iou": Measure("IoU", HIGH, "3", "", "voxels in both masks over voxels in either; 1 for equal masks"),
    "dice": Measure("Dice", HIGH, "3", "", "twice the voxels in both masks over the sum of their sizes"),
    "ap": Measure("AP", HIGH, "3", "", "average precision: how far voxels of the mask rank above others"),
    "are": Measure("ARE", LOW, "3", "", "adapted Rand error of the neurons that the membranes leave; 0 for equal ones"),
    "voi_split": Measure("VOI split", LOW, "3", "bit", "variation of information that comes from neurons cut in parts"),
    "voi_merge": Measure("VOI merge", LOW, "3", "bit", "the same, from neurons grown together"),
    "voi": Measure("VOI", LOW, "3", "bit", "variation of information: split and merge together"),
    "breaks": Measure("breaks", ZERO, "tally", "",
                      "parts of at least 100 voxels that are too many; below 0: grown together or lost"),
    "overlap_volume": Measure("overlap", "", "3", "µm³", "volume in both masks"),
}  # fmt: skip
BREAKS_OF_NEURONS = (
    "parts of at least 100 voxels that are too many or too few, mean over the labelled neurons; "
    "neurons grown together show in VOI merge instead"
)
"""Of a segmentation into neurons, breaks are counted inside each of them."""
SHOWN = {LABELS: tuple(MEASURES), TRUTH: ("iou", "dice", "ap", "are", "voi", "breaks", "overlap_volume")}
"""Measures in the table of segmentations; the files hold all."""


def parsed(variant: str) -> tuple[str, str] | None:
    """What was looked for, and what it was compared with; None if the variant says something else.

    >>> parsed("membranes, truth"), parsed("labels"), parsed("gaussian11")
    (('membranes', 'truth'), ('', 'labels'), None)
    """
    what, _, reference = variant.rpartition(", ")
    return (what, reference) if reference in REFERENCES else None


def is_segmentation(metric: str, variant: str, plane: str) -> bool:
    """Whether a score is one of a segmentation."""
    return metric in MEASURES and plane == "volume" and parsed(variant) is not None


def key_of(metric: str, what: str, reference: str) -> str:
    """Key of a column, also for what has no name because the dataset has no labels."""
    return f"{metric}/{f'{what}, {reference}' if what else reference}/volume"


def segmentation_columns(
    found: Collection[tuple[str, str, str]], known: Collection[tuple[str, str, str]]
) -> tuple[Column, ...]:
    """Columns of segmentation scores: the IoU with labels for the main table, the others for tables of their own.

    Args:
        found: (metric, variant, plane) of all scores.
        known: Those of scores with a value; the main table has no column that is blank in every row.
    """
    columns = []
    for metric, variant, plane in sorted(key for key in found if is_segmentation(*key)):
        what, reference = parsed(variant) or ("", "")
        main = metric == "iou" and reference == LABELS and (metric, variant, plane) in known
        measure = MEASURES[metric]
        mean = metric == "breaks" and ("are", variant, plane) in found  # over neurons, not a count
        columns.append(
            Column(
                key_of(metric, what, reference), GROUP if main else APART,
                what if main else f"{measure.label} {what}, {REFERENCES[reference]}",
                measure.unit, measure.better, "2" if mean else measure.style, metric, variant, plane,
                help=f"{what}, {REFERENCES[reference]}: {measure.words}",
            )
        )  # fmt: skip
    return tuple(columns)
