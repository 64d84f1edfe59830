"""Published lines that stand beside a table of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vemrecon.bench.spec import Task
from vemrecon.errors import DataError
from vemrecon.metrics.column import Column
from vemrecon.protocol import load
from vemrecon.report.differences import differences
from vemrecon.report.leaderboard import Leaderboard, Table
from vemrecon.report.published import PublishedScore, column_order, our_datasets, published_column, read_published

COMPARABLE = "comparable"
PUBLISHED = (
    "What papers print for the same tissue and scale. Not measured here, and no part of the ranking; the last column "
    "says why a number cannot be compared with the table above."
)


@dataclass(frozen=True)
class PublishedLine:
    """The published scores of one method in one table of a paper, and why ours are others."""

    paper: str
    table: str
    method: str
    part: str
    """Part of the volume that alone was scored, or an empty text."""
    supervision: str
    degradation: str
    scores: Mapping[str, PublishedScore]
    """By column key."""
    reasons: tuple[str, ...]
    """The most important one first; none if the line is comparable."""

    @property
    def where(self) -> str:
        """Table of the paper, and the part of the volume."""
        return ", ".join(text for text in (self.table, self.part) if text)

    @property
    def measures(self) -> set[str]:
        """Our names of what was measured."""
        return {score.measure for score in self.scores.values()}

    @property
    def notes(self) -> str:
        """Everything noted about the numbers of this line."""
        return "; ".join(dict.fromkeys(score.note for score in self.scores.values() if score.note))

    def text(self, key: str) -> str:
        """A number as printed, or an empty text."""
        return self.scores[key].text if key in self.scores else ""

    def spread(self, key: str) -> str:
        """The spread that the paper prints beside it, over whatever it averages."""
        std = self.scores[key].std if key in self.scores else ""
        return f"± {std}" if std else ""


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


def published_lines(task: Task, scores: Iterable[PublishedScore]) -> tuple[PublishedLine, ...]:
    """What was published about the same tissue at the same scale, in the order of the file.

    A task without truth has no score that a paper could have printed too, so nothing stands beside it; nor beside a
    task that removes sections, for which no paper has scores of the volume.
    """
    if task.kind == "native" or task.missing:
        return ()
    groups: dict[tuple[str, ...], list[PublishedScore]] = {}
    for score in scores:
        same = task.dataset in our_datasets(score.dataset) and score.scale == task.scale
        if same and score.measure:
            key = (score.paper, score.table, score.method, score.part, score.supervision, score.degradation)
            groups.setdefault(key, []).append(score)
    if not groups:
        return ()
    card, splits = load("datasets", task.dataset), load("splits", task.dataset)
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
    measures = {column.metric for column in table.columns.every if isinstance(column, Column)}
    same: list[PublishedLine] = []
    others: list[PublishedLine] = []
    for line in table.published:
        (same if line.measures & measures else others).append(line)
    return PublishedPart("Measures of this table", tuple(same)), PublishedPart("Other measures", tuple(others))


def papers(lines: Sequence[PublishedLine]) -> tuple[str, ...]:
    """The papers of some lines, in order."""
    return tuple(dict.fromkeys(line.paper for line in lines))
