"""`Cell`: one number of a table, averaged over seeds, with what limits it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from vemrecon.bench.result import RunResult
from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import SIGNS, Limit, Score
from vemrecon.report.columns import AnyColumn, CostColumn

WHOLE = "all"
"""Range of every section that is scored."""


@dataclass(frozen=True)
class Cell:
    """Mean over the runs of a row; without a value, the notes say why."""

    value: float | None
    std: float | None = None
    """Sample standard deviation over seeds; None for a single seed."""
    count: int = 0
    """Runs that have a value."""
    limit: Limit | None = None
    notes: tuple[str, ...] = ()
    sections: str = ""
    """Spread over the sections of a plane, in words."""

    def text(self, column: AnyColumn) -> str:
        """The value as printed, without the spread; empty if there is none."""
        return "" if self.value is None else f"{SIGNS[self.limit]}{column.text(self.value)}"

    def spread(self, column: AnyColumn) -> str:
        """The spread over seeds as printed; empty where there is none, or seeds change nothing."""
        if not self.std:
            return ""
        text = column.text(self.std)
        return f"± {self.std:.1g}" if text.strip("0.") == "" else f"± {text}"

    def comparable(self, column: AnyColumn) -> bool:
        """Whether a value may win its column: a bound wins only where the truth can but be better."""
        return self.limit is None or (column.better == Better.LOW and self.limit == Limit.AT_MOST)


def cell(results: Sequence[RunResult], column: Column | CostColumn, name: str) -> Cell:
    """Average a score of a whole scored range, or a cost, over seeds; `name` is the range."""
    return cost_cell(results, column) if isinstance(column, CostColumn) else score_cell(results, column, name)


def score_cell(results: Sequence[RunResult], column: Column, name: str) -> Cell:
    """Average a score of the whole scored region over seeds; `name` is the scored range."""
    found = [_score(result, column, name) for result in results]
    notes = {score.note for score in found if score and score.note}
    scores = [score for score in found if score and score.value is not None]
    if not scores:
        return Cell(None, notes=tuple(sorted(notes)) or (_unasked(column, name),))
    if missing := len(found) - len(scores):
        notes.add(f"{missing} of {len(found)} seeds have no value")
    limit = Limit.of({score.limit for score in scores if score.limit})
    mean, std = _mean([score.value for score in scores if score.value is not None])
    return Cell(mean, std, len(scores), limit, tuple(sorted(notes)), _sections(scores[0], column))


def cost_cell(results: Sequence[RunResult], column: CostColumn) -> Cell:
    """Average a cost over seeds."""
    values = [value for result in results if (value := getattr(result.costs, column.cost)) is not None]
    if not values:
        return Cell(None, notes=("not recorded",))
    return Cell(*_mean(values), len(values))


def _score(result: RunResult, column: Column, name: str) -> Score | None:
    return next((s for s in result.scores if s.whole and s.range == name and s.kind == column.kind), None)


def _unasked(column: Column, name: str) -> str:
    if column.per_target and name != WHOLE:
        return "what is looked for in the volumes is scored on all sections only"
    return "not computed by this run"


def _mean(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _sections(score: Score, column: Column) -> str:
    if score.std is None or column.better == Better.ONE:
        return ""
    return f"standard deviation over {score.count or 'the'} sections {column.text(score.std)} {column.unit}".strip()
