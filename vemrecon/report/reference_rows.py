"""`ReferenceRow`: a row of a table that no method has made, and that is no part of the ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vemrecon.bench.result import RunResult
from vemrecon.metrics.column import Column
from vemrecon.metrics.score import Score
from vemrecon.report.cells import Cell
from vemrecon.report.columns import Columns

WORDS = {
    "truth, smoothed": "the truth itself after a Gaussian low-pass of 1 voxel; what it lacks is detail of that scale",
}
"""What rows are, by their names."""


@dataclass(frozen=True)
class ReferenceRow:
    """What something that is known scores on a task."""

    label: str
    scores: tuple[Score, ...]
    """Of the whole volume."""
    cells: Mapping[str, Mapping[str, Cell]]
    """By range and column key; blank where it has no value, and for costs."""

    @property
    def words(self) -> str:
        """What it is, for a line below the table."""
        return f"{self.label}: {WORDS.get(self.label, 'a reference')}; no part of the ranking"


def reference_rows(results: Iterable[RunResult], columns: Columns, ranges: Sequence[str]) -> tuple[ReferenceRow, ...]:
    """The rows that results of one task have kept; where they were asked for different metrics, the scores of all."""
    found: dict[str, dict[tuple[object, ...], Score]] = {}
    for result in sorted(results, key=lambda result: result.run_id):
        for name, scores in result.references.items():
            for score in scores:
                found.setdefault(name, {}).setdefault((score.kind, score.range), score)
    return tuple(
        ReferenceRow(name, tuple(scores.values()), _cells(tuple(scores.values()), columns, ranges))
        for name, scores in sorted(found.items())
    )


def _cells(scores: Sequence[Score], columns: Columns, ranges: Sequence[str]) -> dict[str, dict[str, Cell]]:
    known = {(score.range, score.kind): score for score in scores if score.value is not None}
    cells: dict[str, dict[str, Cell]] = {}
    for name in ranges:
        for column in columns.every:
            score = known.get((name, column.kind)) if isinstance(column, Column) else None
            cells.setdefault(name, {})[column.key] = Cell(score.value, None, 1, score.limit) if score else Cell(None)
    return cells
