"""Published lines that stand beside a table of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vemrecon.errors import DataError
from vemrecon.protocol import load
from vemrecon.report.columns import Column
from vemrecon.report.differences import differences
from vemrecon.report.leaderboard import Leaderboard, Table
from vemrecon.report.published import DATASETS, PublishedScore, column_order, published_column, read_published
from vemrecon.report.published_line import PublishedLine

COMPARABLE = "comparable"
PUBLISHED = (
    "What papers print for the same tissue and scale. Not measured here, and no part of the ranking; the last column "
    "says why a number cannot be compared with the table above."
)


@dataclass(frozen=True)
class PublishedPart:
    """Lines that share their columns."""

    title: str
    lines: tuple[PublishedLine, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that any of the lines fills."""
        keys = {key for line in self.lines for key in line.scores}
        return tuple(published_column(key) for key in sorted(keys, key=column_order))


def with_published(board: Leaderboard) -> Leaderboard:
    """The leaderboard with published lines at every table; a warning if they cannot be read."""
    try:
        scores = read_published()
    except DataError as error:
        return replace(board, warnings=(*board.warnings, str(error)))
    return replace(board, tables=tuple(replace(t, published=published_lines(t.task, scores)) for t in board.tables))


def published_lines(task: Mapping[str, Any], scores: Iterable[PublishedScore]) -> tuple[PublishedLine, ...]:
    """What was published about the same tissue at the same scale, in the order of the file.

    A task without truth has no score that a paper could have printed too, so nothing stands beside it.
    """
    if task["kind"] == "native":
        return ()
    groups: dict[tuple[str, ...], list[PublishedScore]] = {}
    for score in scores:
        same = task["dataset"] in DATASETS.get(score.dataset, ()) and score.scale == float(task["scale"])
        if same and score.measure:
            key = (score.paper, score.table, score.method, score.part, score.supervision, score.degradation)
            groups.setdefault(key, []).append(score)
    if not groups:
        return ()
    card, splits = load("datasets", task["dataset"]), load("splits", task["dataset"])
    return tuple(_line(found, differences(found, task, card, splits)) for found in groups.values())


def _line(scores: Sequence[PublishedScore], reasons: tuple[str, ...]) -> PublishedLine:
    first = scores[0]
    return PublishedLine(
        paper=first.paper,
        table=first.table,
        method=first.method,
        part=first.part,
        supervision=first.supervision,
        degradation=first.degradation,
        scores={score.key: score for score in scores},
        reasons=reasons,
    )


def parts(table: Table) -> tuple[PublishedPart, PublishedPart]:
    """The lines with a measure that the table has too, and those with others only."""
    measures = {column.metric for column in table.columns if not column.cost}
    same: list[PublishedLine] = []
    others: list[PublishedLine] = []
    for line in table.published:
        (same if line.measures & measures else others).append(line)
    return PublishedPart("Measures of this table", tuple(same)), PublishedPart("Other measures", tuple(others))


def papers(lines: Sequence[PublishedLine]) -> tuple[str, ...]:
    """The papers of some lines, in order."""
    return tuple(dict.fromkeys(line.paper for line in lines))
