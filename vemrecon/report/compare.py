"""`Comparison`: two methods of a table on the same blocks, for `vemrecon compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vemrecon.bench.spec import LEARNED_FROM_SCORED
from vemrecon.errors import ConfigError, DataError, unknown
from vemrecon.metrics.column import Better, Column
from vemrecon.report.cells import WHOLE
from vemrecon.report.columns import AnyColumn
from vemrecon.report.leaderboard import Leaderboard, Table
from vemrecon.report.overview import tissue_of
from vemrecon.report.paired_rows import Paired, paired
from vemrecon.report.row import Row
from vemrecon.statistics import FEWEST_TESTED, SIGNIFICANT, Estimate, Interval, compare_all, mean_of_groups


@dataclass(frozen=True)
class Comparison:
    """First method minus second one, by one score."""

    task: str
    tissue: str
    column: Column
    labels: tuple[str, str]
    values: tuple[float, float]
    """Of the whole volume, means over seeds."""
    difference: float
    """Of the values; where the best is 0 or 1, of their distances from it."""
    interval: Interval | None
    p: float | None
    blocks: int
    seeds: tuple[int, int]
    one_seed: tuple[bool, bool]
    """Whether the methods are random and ran once."""
    reason: str = ""
    """Why there is no interval or no p value."""

    @property
    def better(self) -> str:
        """Label of the one that is shown to be better; empty if no difference is shown."""
        if self.p is None or self.p > SIGNIFICANT or self.column.better == Better.NEITHER:
            return ""
        first = self.column.better.badness(self.values[0]) < self.column.better.badness(self.values[1])
        return self.labels[0 if first else 1]


@dataclass(frozen=True)
class Together:
    """What the comparisons by one measure say together, over tissues as an overview takes means of gains."""

    parts: tuple[Comparison, ...]
    mean: Estimate
    """Of the differences."""

    @property
    def tissues(self) -> int:
        """How many there are."""
        return len({part.tissue for part in self.parts})


def together(found: Sequence[Comparison]) -> list[Together]:
    """Means of the differences on several tasks, of each measure that several comparisons have."""
    alike: dict[tuple[object, ...], list[Comparison]] = {}
    for one in found:
        of = one.column
        alike.setdefault((of.metric, of.variant, of.unit, of.better, one.labels), []).append(one)
    return [_together(parts) for parts in alike.values() if len(parts) > 1]


def _together(parts: Sequence[Comparison]) -> Together:
    groups: dict[str, list[Estimate]] = {}
    for part in parts:
        ends = (part.interval.low, part.interval.high) if part.interval else (None, None)
        groups.setdefault(part.tissue, []).append(Estimate(part.difference, *ends))
    return Together(tuple(parts), mean_of_groups(list(groups.values())))


def comparisons(board: Leaderboard, first: str, second: str, metric: str | None = None) -> list[Comparison]:
    """Two methods on every task that both have finished, and on which neither learned from what is scored.

    Args:
        board: All tables.
        first: A method, or the label of a row.
        second: The other one.
        metric: Name of a metric, or key of a column; the main score of each table if None.

    Raises:
        DataError: If there is no such task.
        ConfigError: If a name stands for several rows, or no table has the metric.
    """
    found = []
    for table in board.tables:
        rows = [_row(table, name) for name in (first, second)]
        if rows[0] is not None and rows[1] is not None:
            found.append((table, rows[0], rows[1]))
    if not found:
        known = {row.label for table in board.tables for row in table.ranked}
        for name in (first, second):
            if not any(_row(table, name) for table in board.tables):
                if any(name in (row.label, row.method) for table in board.tables for row in table.done):
                    raise DataError(f"{name}: {LEARNED_FROM_SCORED} on every task that it has finished: not compared")
                raise unknown("finished method", name, known)
        raise DataError(f"no task has finished runs of both {first} and {second}")
    made = [_comparison(table, one, other, column) for table, one, other in found if (column := _column(table, metric))]
    if not made:
        keys = {column.key for table, _, _ in found for column in _scores(table)}
        raise unknown("metric of these runs", str(metric), keys | {key.partition("/")[0] for key in keys})
    return made


def _row(table: Table, name: str) -> Row | None:
    rows = [row for row in table.ranked if row.label == name] or [row for row in table.ranked if row.method == name]
    if len(rows) > 1:
        raise ConfigError(f"'{name}' stands for {len(rows)} rows; name one of: {', '.join(row.label for row in rows)}")
    return rows[0] if rows else None


def _scores(table: Table) -> list[Column]:
    return [column for column in table.columns.every if isinstance(column, Column)]


def _column(table: Table, metric: str | None) -> Column | None:
    main: AnyColumn = table.primary
    if metric is None:
        return main if isinstance(main, Column) else None
    leading: Sequence[Column] = [column for column in table.columns.leading if column.metric == metric]
    return next((column for column in (*leading, *_scores(table)) if metric in (column.key, column.metric)), None)


def _comparison(table: Table, one: Row, other: Row, column: Column) -> Comparison:
    rows = (one, other)
    found = paired(one, other, column)
    cells = [row.cells[WHOLE][column.key] for row in rows]
    known = [cell.value for cell in cells if cell.value is not None]
    if found is None:
        row, cell = next((row, cell) for row, cell in zip(rows, cells, strict=True) if cell.value is None)
        raise DataError(f"{table.title}: {row.label} has no {column.heading}: {'; '.join(cell.notes)}")
    p, reason = _tested(found)
    return Comparison(
        table.title, tissue_of(table.task.dataset), column, (one.label, other.label), (known[0], known[1]),
        found.difference, found.interval, p, found.blocks, (len(one.runs), len(other.runs)),
        (one.one_seed, other.one_seed), reason,
    )  # fmt: skip


def _tested(found: Paired) -> tuple[float | None, str]:
    """P value, or the reason why there is none."""
    if found.tables is None:
        return None, found.reason
    if found.by_blocks * found.difference < 0:
        return None, "the mean over blocks has another sign than the whole volume"
    tests = compare_all(found.tables)
    if not tests:
        return None, f"fewer than the {FEWEST_TESTED} blocks that can show a difference"
    return tests[0, 1].p, ""
