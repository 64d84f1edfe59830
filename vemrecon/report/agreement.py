"""`Agreement`: whether tasks, measures, seeds and budgets put methods in the same order, as Kendall's τ-b.

A rank on one tissue says little if the next one has another. All tables of a board that are ranked by the same measure
are compared in pairs, over the methods that both have; and within each table the order by its main score with those by
other measures, and those of its seeds with each other.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from vemrecon.bench.result import RunResult
from vemrecon.files import canonical_json
from vemrecon.metrics.column import Better, Column
from vemrecon.report.cells import score_cell
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table
from vemrecon.report.overview import arguments_by_task, gaps_in, identity
from vemrecon.report.row import Row

LEAST = 4
"""Methods that two orders must share; three have but six orders."""
WHOLE_PLANES = ("volume", "mean", "all")
"""One column of a measure speaks for it: that of the volume, else the mean over planes or directions."""
Values = Mapping[str, float]
"""What is the better the smaller it is, by method."""


@dataclass(frozen=True)
class Agreed:
    """How far two orders agree."""

    tau: float
    count: int
    """Methods in both."""

    @property
    def text(self) -> str:
        """As printed."""
        return f"{self.tau:z.2f} ({self.count})"


@dataclass(frozen=True)
class Place:
    """A table among those that are compared."""

    table: Table
    measures: tuple[Agreed | None, ...]
    """Its order with that by each other measure."""
    seeds: Agreed | None
    """Mean over pairs of its seeds; None for a single one."""
    tables: tuple[Agreed | None, ...]
    """Its order with that of each table before it."""


@dataclass(frozen=True)
class Agreement:
    """Of tables that are ranked by one measure, each in the plane that counts there."""

    of: Column
    measures: tuple[Column, ...]
    places: tuple[Place, ...]

    @property
    def title(self) -> str:
        """What it shows, in words."""
        return f"Agreement of ranks by {self.of.group}"

    @property
    def rule(self) -> str:
        """What the numbers are."""
        return (
            "Kendall's τ-b of two orders of methods, kernels among them, and how many methods both have: 1 where they "
            f"are the same, -1 where one is the other reversed; blank below {LEAST} methods. The order by "
            f"{self.of.group} is compared with those by other measures on the same task, with that of other seeds (the "
            "mean over pairs), and with that of every task above. Differences that intervals leave open count like all "
            "others."
        )


def agreements(board: Leaderboard) -> tuple[Agreement, ...]:
    """One for each measure by which two tables or more are ranked that share enough methods."""
    groups: dict[str, list[Table]] = {}
    for table in board.tables:
        if table.columns.gain and not gaps_in(table) and len(table.ranked) >= LEAST:
            of = table.columns.gain.of
            groups.setdefault(canonical_json([of.metric, of.variant, table.protocol]), []).append(table)
    return tuple(found for tables in groups.values() if (found := _agreement(tables)))


def kendall(one: Values, other: Values) -> Agreed | None:
    """τ-b over what both have; None where that is too little, or one of them has no order."""
    from scipy.stats import kendalltau

    both = sorted(one.keys() & other.keys())
    values = [[given[name] for name in both] for given in (one, other)]
    if len(both) < LEAST or any(len(set(found)) < 2 for found in values):
        return None
    return Agreed(float(kendalltau(*values).statistic), len(both))


def _agreement(tables: Sequence[Table]) -> Agreement | None:
    names = arguments_by_task(tables)
    mains = [table.columns.gain.of for table in tables if table.columns.gain]
    known = [_methods(table, names) for table in tables]
    orders = [_values(rows, of) for rows, of in zip(known, mains, strict=True)]
    between = [tuple(kendall(orders[n], orders[k]) for k in range(n)) for n in range(len(orders))]
    if not any(found for line in between for found in line):
        return None
    by_measure = {
        column: [kendall(order, _values(rows, column)) for order, rows in zip(orders, known, strict=True)]
        for column in _measures(tables, mains[0])
    }
    by_measure = {column: found for column, found in by_measure.items() if any(found)}
    places = tuple(
        Place(table, tuple(found[n] for found in by_measure.values()), _seeds(known[n], mains[n]), between[n])
        for n, table in enumerate(tables)
    )
    return Agreement(mains[0], tuple(by_measure), places)


def _methods(table: Table, names: Mapping[tuple[str, str], frozenset[str]]) -> dict[str, Row]:
    """Rows by what makes a method the same one on other tasks and with other budgets."""
    return {identity(row.spec, names[row.spec.method.entry, row.spec.preset]): row for row in table.ranked}


def _measures(tables: Sequence[Table], of: Column) -> list[Column]:
    """One column of each measure that has a better side, in the order of the tables."""
    found: dict[tuple[str, str], Column] = {}
    columns = [column for table in tables for column in table.main if isinstance(column, Column)]
    for column in sorted(columns, key=lambda one: WHOLE_PLANES.index(one.plane) if one.plane in WHOLE_PLANES else 9):
        if column.plane in WHOLE_PLANES and column.better is not Better.NEITHER and not column.per_target:
            found.setdefault((column.metric, column.variant), column)
    found.pop((of.metric, of.variant), None)
    order = {(column.metric, column.variant): n for n, column in reversed(list(enumerate(columns)))}
    return sorted(found.values(), key=lambda one: order[one.metric, one.variant])


def _values(
    rows: Mapping[str, Row], column: Column, runs: Callable[[Row], Sequence[RunResult]] = lambda row: row.results
) -> dict[str, float]:
    """Of methods that have one which is no bound; the smaller the better."""
    cells = {name: score_cell(runs(row), column, MAIN_RANGE) for name, row in rows.items()}
    return {
        name: column.better.badness(cell.value)
        for name, cell in cells.items()
        if cell.value is not None and not cell.limit
    }


def _seeds(rows: Mapping[str, Row], column: Column) -> Agreed | None:
    """Methods that are not random have the same value with every seed; of others, a seed takes what ran with it."""
    seeds = sorted({result.spec.seed for row in rows.values() for result in row.results if len(row.runs) > 1})

    def of_seed(seed: int) -> dict[str, float]:
        having = {
            name: row
            for name, row in rows.items()
            if not row.random or any(result.spec.seed == seed for result in row.results)
        }
        return _values(
            having, column, lambda row: [r for r in row.results if not row.random or r.spec.seed == seed][:1]
        )

    orders = [of_seed(seed) for seed in seeds]
    found = [agreed for one, other in combinations(orders, 2) if (agreed := kendall(one, other))]
    if not found:
        return None
    return Agreed(statistics.fmean(one.tau for one in found), min(one.count for one in found))
