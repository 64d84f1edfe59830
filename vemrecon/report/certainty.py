"""`Certainty`: how sure the numbers of a table are, from the scores of its evaluation blocks and seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vemrecon.metrics.column import Better, Column
from vemrecon.report.block_scores import BlockScores, block_scores, judged
from vemrecon.report.cells import WHOLE
from vemrecon.report.columns import AnyColumn, Columns
from vemrecon.report.gain import gain_intervals
from vemrecon.report.row import Row
from vemrecon.statistics import (
    FEWEST_BLOCKS,
    FEWEST_TESTED,
    Interval,
    Rank,
    Tested,
    compare_all,
    mean_interval,
    ranks,
)

MOST_COMPARED = 100
"""Rows of which all pairs are tested: 4950 pairs, which take seconds."""
NAMED = 4
"""Rows that a note names; of more of them it says how many."""
ONE_SEED = "\N{DAGGER}"
"""Behind the seed of a random method that ran once."""


@dataclass(frozen=True)
class Pair:
    """Two rows of a table, on the same blocks."""

    first: str
    second: str
    """Labels."""
    difference: float
    """First minus second, mean over blocks and seeds; of distances where the best value is 0 or 1."""
    tested: Tested


@dataclass(frozen=True)
class Certainty:
    """Intervals, ranks and tests of a table; nothing where they cannot be had, with the reason."""

    intervals: Mapping[tuple[str, str], Interval] = field(default_factory=dict)
    """By column key and row label."""
    ranks: Mapping[str, Rank] = field(default_factory=dict)
    """Of the main score, by row label."""
    labels: tuple[str, ...] = ()
    """Of the rows that were ranked, by the numbers that ranks name as tied."""
    pairs: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()
    """Why there is no interval, or no rank, of the main score."""

    def tied(self, label: str) -> tuple[str, ...]:
        """Labels of rows that a ranked row is not told apart from."""
        return tuple(self.labels[n] for n in self.ranks[label].tied)

    def interval_text(self, column: AnyColumn, label: str) -> str:
        """The interval as printed, with as many digits as the value; empty if there is none."""
        found = self.intervals.get((column.key, label))
        return f"[{column.text(found.low)}, {column.text(found.high)}]" if found else ""


def certainty_of(rows: Sequence[Row], columns: Columns, main: AnyColumn) -> Certainty:
    """How sure the leading scores of finished rows are.

    Args:
        rows: With scores; those that are contaminated have intervals, but no rank and no test.
        columns: Of the table.
        main: The column that rows are ranked by.
    """
    if not isinstance(main, Column):
        return Certainty()
    known = {row.label: block_scores(row.results, main) for row in rows}
    intervals = dict(_intervals(rows, main, known))
    for column in columns.leading if len(rows) <= MOST_COMPARED else ():
        if column != main:
            intervals |= _intervals(rows, column, {row.label: block_scores(row.results, column) for row in rows})
    notes = _notes(known)
    if columns.gain:
        gains, reasons = gain_intervals(rows, columns.gain)
        intervals |= {(columns.gain.key, label): interval for label, interval in gains.items()}
        notes += _gain_notes({label: why for label, why in reasons.items() if (main.key, label) in intervals})
    scores = _tested({row.label: known[row.label] for row in rows if not row.contaminated})
    if len(scores) < 2 or main.better == Better.NEITHER:
        return Certainty(intervals, notes=notes)
    if len(scores) > MOST_COMPARED:
        return Certainty(intervals, notes=(*notes, f"no ranks: more than {MOST_COMPARED} rows"))
    blocks = next(iter(scores.values())).blocks
    if len(blocks) < FEWEST_TESTED:
        words = f"no ranks: {len(blocks)} evaluation blocks, fewer than the {FEWEST_TESTED} that can show a difference"
        return Certainty(intervals, notes=(*notes, words))
    labels = tuple(scores)
    tables = [judged(found.values, main.better) for found in scores.values()]
    tests = compare_all(tables)
    means = [float(table.mean()) for table in tables]
    pairs = tuple(Pair(labels[a], labels[b], means[a] - means[b], test) for (a, b), test in tests.items())
    whole = {row.label: row.cells[WHOLE][main.key].value for row in rows}
    badness = [main.better.badness(value) if (value := whole[label]) is not None else np.inf for label in labels]
    by_blocks = [-mean if main.better == Better.HIGH else mean for mean in means]
    found = dict(zip(labels, ranks(badness, _agreeing(tests, badness, by_blocks)), strict=True))
    return Certainty(intervals, found, labels, pairs, notes)


def _agreeing(
    tests: Mapping[tuple[int, int], Tested], badness: Sequence[float], by_blocks: Sequence[float]
) -> dict[tuple[int, int], Tested]:
    """Tests, where none shows a difference whose mean over blocks contradicts the whole volume."""
    return {
        (a, b): test if (badness[a] - badness[b]) * (by_blocks[a] - by_blocks[b]) > 0 else Tested(test.p, 1.0)
        for (a, b), test in tests.items()
    }


def _intervals(
    rows: Sequence[Row], column: Column, known: Mapping[str, BlockScores | str]
) -> dict[tuple[str, str], Interval]:
    """Intervals around the values of the whole volume."""
    found = {}
    for row in rows:
        scores, value = known[row.label], row.cells[WHOLE][column.key].value
        if value is None or isinstance(scores, str):
            continue
        interval = mean_interval(scores.values)
        if interval is not None:
            found[column.key, row.label] = interval.around(float(scores.values.mean()), value)
    return found


def _tested(known: Mapping[str, BlockScores | str]) -> dict[str, BlockScores]:
    """Rows that were scored on the same blocks, as many as there are."""
    scores = {label: found for label, found in known.items() if not isinstance(found, str)}
    if not scores:
        return {}
    (blocks, _), *_ = Counter(found.blocks for found in scores.values()).most_common(1)
    return {label: found for label, found in scores.items() if found.blocks == blocks}


def _notes(known: Mapping[str, BlockScores | str]) -> tuple[str, ...]:
    """Why rows have no interval, once each, with the rows where it is not all of them."""
    reasons: dict[str, list[str]] = {}
    for label, found in known.items():
        if isinstance(found, str):
            reasons.setdefault(found, []).append(label)
        elif len(found.blocks) < FEWEST_BLOCKS:
            words = f"{len(found.blocks)} evaluation blocks, fewer than {FEWEST_BLOCKS}"
            reasons.setdefault(words, []).append(label)
    return tuple(
        f"no interval{_of(labels) if len(labels) < len(known) else ''}: {reason}"
        for reason, labels in reasons.items()
        if reason != "no value"
    )


def _gain_notes(reasons: Mapping[str, str]) -> tuple[str, ...]:
    """Why rows that have an interval have none of their gain."""
    grouped: dict[str, list[str]] = {}
    for label, reason in reasons.items():
        grouped.setdefault(reason, []).append(label)
    return tuple(f"no interval of the gain{_of(labels)}: {reason}" for reason, labels in grouped.items())


def _of(labels: Sequence[str]) -> str:
    return f" of {', '.join(labels)}" if len(labels) <= NAMED else f" of {len(labels)} rows"
