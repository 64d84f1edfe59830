"""Gains: how much better the rows of a table are than its best kernel, by the score that ranks them.

A decibel means another thing on every tissue, and at every scale: one volume has more detail that nobody can predict
than the next. The gain over the best kernel takes most of that off, so that tables can be put side by side.

The best kernel is chosen by the scores of the same blocks that it is then compared on. What is best of several by
chance is a little too good, so that gains are a little too small rather than too large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Limit
from vemrecon.report.cells import WHOLE, Cell
from vemrecon.report.columns import GainColumn
from vemrecon.report.paired_rows import Paired, distance, paired
from vemrecon.report.row import Row
from vemrecon.statistics import Interval

NO_KERNEL = "no kernel has finished, over which a gain could be taken"
NAMED = 4
"""Kernels that are named; of more of them it says how many."""
BOUNDS = "a bound has no gain"


def best_kernel(rows: Sequence[Row], column: Column) -> Row | None:
    """The finished kernel with the best value of the whole volume, the first by its label among equals."""
    found = [row for row in rows if row.kernel and _value(row, column, WHOLE) is not None]
    return min(
        found, key=lambda row: (column.better.badness(_value(row, column, WHOLE) or 0.0), row.label), default=None
    )


def gain_cells(rows: Sequence[Row], column: GainColumn, ranges: Sequence[str]) -> dict[str, dict[str, Cell]]:
    """The gains of finished rows, by label and scored range; everywhere over the kernel that is best in the whole."""
    kernel = best_kernel(rows, column.of)
    return {row.label: {name: _cell(row, kernel, column.of, name) for name in ranges} for row in rows}


def gain_intervals(rows: Sequence[Row], column: GainColumn) -> tuple[dict[str, Interval], dict[str, str]]:
    """Intervals of gains by label, and reasons why others have none; that of the best kernel is 0 by definition."""
    kernel = best_kernel(rows, column.of)
    found: dict[str, Interval] = {}
    reasons: dict[str, str] = {}
    for row in rows if kernel else ():
        if kernel is None or row is kernel or _value(row, column.of, WHOLE) is None:
            continue
        pair = paired(row, kernel, column.of)
        if pair and pair.interval and pair.tables:  # a kernel is not random, so that seeds are those of the row
            found[row.label] = turned(replace(pair.interval, seeds=len(pair.tables[0])), column.of.better)
        elif pair:
            reasons[row.label] = pair.reason
    return found, reasons


def gain_words(rows: Sequence[Row], column: GainColumn, *, sure: bool) -> str:
    """What the gains of a table, and their intervals, mean; empty where there are none."""
    kernel = best_kernel(rows, column.of)
    if kernel is None:
        return ""
    labels = [row.label for row in rows if row.kernel]
    among = ", ".join(labels) if len(labels) <= NAMED else f"{len(labels)} kernels"
    best = f"{kernel.label}, the best of {among}" if len(labels) > 1 else f"{kernel.label}, the only kernel here"
    ends = "; [low, high]: 95 % interval of the differences on the same blocks" if sure else ""
    return f"gain: {column.of.heading} over that of {best}{ends}"


def gain_of(pair: Paired, better: Better) -> float:
    """How much better the first row is; negative if it is worse."""
    return pair.difference if better is Better.HIGH else -pair.difference


def turned(interval: Interval, better: Better) -> Interval:
    """The interval of the gain, from that of the difference."""
    if better is Better.HIGH:
        return interval
    return replace(interval, low=-interval.high, high=-interval.low)


def _value(row: Row, column: Column, name: str) -> float | None:
    """A value that is no bound."""
    cell: Cell = row.cells[name][column.key]
    return None if cell.limit else cell.value


def _cell(row: Row, kernel: Row | None, column: Column, name: str) -> Cell:
    if kernel is None:
        return Cell(None, notes=(NO_KERNEL,))
    own, best = _value(row, column, name), _value(kernel, column, name)
    if own is None or best is None:
        lacking: Mapping[str, Cell] = (row if own is None else kernel).cells[name]
        notes = (BOUNDS,) if isinstance(lacking[column.key].limit, Limit) else lacking[column.key].notes
        return Cell(None, notes=notes)
    if row is kernel:
        return Cell(0.0, count=len(row.runs))
    gain = gain_of(Paired(distance(own, column.better) - distance(best, column.better)), column.better)
    return Cell(gain, count=len(row.runs))
