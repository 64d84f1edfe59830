"""`Segmentation`: what was found in the reconstructions of a task, between what is found in the truth and a floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase

from vemrecon.metrics.catalogue.segmentation import MEASURES
from vemrecon.metrics.column import Column
from vemrecon.metrics.score import Reference
from vemrecon.report.cells import Cell
from vemrecon.report.row import Row
from vemrecon.report.segmenter_record import FLOOR, SegmenterRecord

CEILING_LABEL, FLOOR_LABEL = "truth (ceiling)", "bicubic (floor)"
METHOD = "method"
BREAKS_OF_NEURONS = (
    "parts of at least 100 voxels that are too many or too few, mean over the labelled neurons; "
    "neurons grown together show in VOI merge instead"
)
"""Of a segmentation into neurons, breaks are counted inside each of them."""
UNFAIR = (
    "The rows were judged by different segmenters, so that their numbers cannot be compared with each other, and no "
    "best value is marked."
)


@dataclass(frozen=True)
class Line:
    """Scores of a method or of a reference."""

    label: str
    role: str
    """`CEILING`, `FLOOR` or `METHOD`."""
    cells: Mapping[str, Cell]
    """By column key."""
    judges: str
    """Letters of the segmenters that judged it; several if its seeds had different ones."""
    row: Row | None = None
    """Of a method."""

    @property
    def method_is_floor(self) -> bool:
        """Whether a run of the table is the floor itself."""
        return self.role == FLOOR and self.row is not None

    @property
    def reason(self) -> str:
        """Why there is no score at all; empty if there is one."""
        if any(cell.value is not None for cell in self.cells.values()):
            return ""
        return next((cell.notes[0] for cell in self.cells.values() if cell.notes), "not computed by this run")


@dataclass(frozen=True)
class Segmentation:
    """Scores of one thing that is looked for in the volumes of a task."""

    what: str
    """Empty where a dataset has no labels."""
    columns: tuple[Column, ...]
    """Columns with any value, those against labels first."""
    lines: tuple[Line, ...]
    judges: tuple[SegmenterRecord, ...]
    """All that judged any line, in the order of their letters."""

    @property
    def title(self) -> str:
        """Heading of its table."""
        return f"Segmentation: {self.what}" if self.what else "Segmentation"

    @property
    def fair(self) -> bool:
        """Whether one segmenter judged all lines."""
        return len(self.judges) < 2

    @property
    def meanings(self) -> tuple[tuple[str, str], ...]:
        """Labels of the measures that are shown, with what they mean."""
        shown = dict.fromkeys(column.metric for column in self.columns)
        words = {metric: MEASURES[metric].words for metric in shown}
        if "are" in words and "breaks" in words:
            words["breaks"] = BREAKS_OF_NEURONS
        return tuple((MEASURES[metric].label, text) for metric, text in words.items())

    def judges_in_words(self) -> tuple[str, ...]:
        """The segmenters, with their letters if there are several."""
        lines = []
        for letter, judge in zip(ascii_uppercase, self.judges, strict=False):
            place = judge.place()
            words = judge.words() + (f"; looked at {place}" if place else "")
            lines.append(words if self.fair else f"{letter}: {words}")
        return tuple(lines)


def shown_in(column: Column) -> bool:
    """Whether a column is one of these tables; the files hold all."""
    measure = MEASURES.get(column.metric)
    return measure is not None and column.plane == "volume" and column.reference in measure.references


def column_order(column: Column) -> tuple[int, int]:
    """Sort key: labels first, measures in their usual order."""
    return (column.reference != Reference.LABELS, list(MEASURES).index(column.metric))
