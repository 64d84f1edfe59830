"""`Cell`: one number of a table, averaged over seeds, with what limits it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vemrecon.bench.result import RunResult
from vemrecon.report.columns import LOW, ONE, Column
from vemrecon.report.load import SCORE_FIELDS, number
from vemrecon.report.segmentation_columns import is_segmentation

WHOLE = "all"
"""Range of every section that is scored."""
AT_MOST, AT_LEAST, UNSURE = "<= ", ">= ", "~ "
USUAL = "crossing"
"""Note of a Fourier shell correlation that crossed its threshold, as it should."""

LIMITS = {"no_crossing": AT_MOST, "below_at_first_shell": AT_LEAST}
"""Notes of a Fourier shell correlation that never fell below, or never rose above, its threshold."""


@dataclass(frozen=True)
class Cell:
    """Mean over the runs of a row; without a value, the notes say why."""

    value: float | None
    std: float | None = None
    """Sample standard deviation over seeds; None for a single seed."""
    count: int = 0
    """Runs that have a value."""
    limit: str = ""
    notes: tuple[str, ...] = ()
    sections: str = ""
    """Spread over the sections of a plane, in words."""

    def text(self, column: Column) -> str:
        """The value as printed, without the spread; empty if there is none."""
        return "" if self.value is None else f"{self.limit}{column.text(self.value)}"

    def spread(self, column: Column) -> str:
        """The spread over seeds as printed, or an empty text."""
        if self.std is None or (column.cost and self.std == 0):
            return ""
        return f"± {column.text(self.std)}"

    def comparable(self, column: Column) -> bool:
        """Whether a value may win its column: a bound wins only where the truth can but be better."""
        return not self.limit or (column.better == LOW and self.limit == AT_MOST)


def score_cell(results: Sequence[RunResult], column: Column, name: str) -> Cell:
    """Average a score of the whole scored region over seeds; `name` is the scored range."""
    found = [_score(result, column, name) for result in results]
    notes = {str(score.get("note")) for score in found if score and score.get("note") not in (None, "", USUAL)}
    scores = [score for score in found if score and number(score.get("value")) is not None]
    missing = len(found) - len(scores)
    if not scores:
        return Cell(None, notes=tuple(sorted(notes)) or (_unasked(column, name),))
    values = [float(score["value"]) for score in scores]
    if missing:
        notes.add(f"{missing} of {len(found)} seeds have no value")
    if column.plane == "ratio":
        limit, reasons = _ratio_limit(results, column, name)
    else:
        limit, reasons = _limit([str(score.get("note") or "") for score in scores]), set()
    notes = {note for note in notes if note not in LIMITS} | reasons
    return Cell(*_mean(values), len(values), limit, tuple(sorted(notes)), _sections(scores, column))


def cost_cell(results: Sequence[RunResult], column: Column) -> Cell:
    """Average a cost over seeds."""
    values = [v for result in results if (v := number(result.costs.get(column.cost))) is not None]
    if not values:
        return Cell(None, notes=("not recorded",))
    return Cell(*_mean(values), len(values))


def _score(result: RunResult, column: Column, name: str) -> Mapping[str, Any] | None:
    for score in result.scores:
        if tuple(score[key] for key in SCORE_FIELDS) == (column.metric, column.variant, column.plane, name, "all"):
            return score
    return None


def _unasked(column: Column, name: str) -> str:
    judged = is_segmentation(column.metric, column.variant, column.plane) or column.metric == "sam2_iou"
    whole = judged and name != WHOLE
    return "segmentations are scored on all sections only" if whole else "not computed by this run"


def _mean(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _limit(notes: Sequence[str]) -> str:
    limits = {LIMITS[note] for note in notes if note in LIMITS}
    return limits.pop() if len(limits) == 1 else UNSURE if limits else ""


def _ratio_limit(results: Sequence[RunResult], column: Column, name: str) -> tuple[str, set[str]]:
    """A ratio is bounded by what bounds its parts: an axial bound passes on, a lateral one turns round."""
    turned = {AT_MOST: AT_LEAST, AT_LEAST: AT_MOST}
    limits = set()
    for result in results:
        axis = result.spec["task"]["axis"]
        for score in result.scores:
            limit = LIMITS.get(str(score.get("note")))
            same = all(score[key] == getattr(column, key) for key in ("metric", "variant"))
            whole = score["range"] == name and score["block"] == "all"
            if limit and same and whole and score["plane"] in ("z", "y", "x", "lateral"):
                limits.add(limit if score["plane"] == axis else turned[limit])
    if not limits:
        return "", set()
    if len(limits) == 1:
        return limits.pop(), set()
    return UNSURE, {"both resolutions are bounds, so their ratio is not known"}


def _sections(scores: Sequence[Mapping[str, Any]], column: Column) -> str:
    std, count = number(scores[0].get("std")), scores[0].get("count")
    if std is None or column.better == ONE:
        return ""
    return f"standard deviation over {count or 'the'} sections {column.text(std)} {column.unit}".strip()
