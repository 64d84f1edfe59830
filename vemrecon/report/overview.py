"""`Overview`: methods by tasks. Every cell is a gain over the best kernel of its task, which compares across tissues.

Only gains in the same unit, of the same measure, stand in one overview, and those of a track, or of tasks that remove
sections, in one of their own.
Methods are told apart by name, arguments, version, preset and what they learned from, so that a line is the same method
everywhere; arguments that a preset makes depend on the task are left out of this.

The mean of a line is taken over tissues, of the means over the tasks of each: a tissue with many tasks counts as much
as one with a single task. There is none for a method that lacks the gain on any of the tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vemrecon import protocol
from vemrecon.bench.spec import LEARNED_FROM_SCORED, RunSpec
from vemrecon.bench.track import Track
from vemrecon.files import canonical_json
from vemrecon.report.columns import GainColumn
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table, regime_order
from vemrecon.report.row import Row
from vemrecon.report.row_labels import label_variants
from vemrecon.statistics import Estimate, mean_of_groups

RULE = (
    "Mean: over tissues, of the means over the tasks of each. Its interval takes tasks of one tissue to err together "
    "and tissues independently; it says nothing of other tissues. No mean where a task is missing."
)


@dataclass(frozen=True)
class Gain:
    """A cell; without an estimate, the reason says why."""

    estimate: Estimate | None = None
    reason: str = ""
    best: bool = False
    """Whether the row has the best score of its table."""


@dataclass(frozen=True)
class Line:
    """A method."""

    label: str
    """Unique in the overview."""
    regime: str
    gains: tuple[Gain, ...]
    """One for each table."""
    mean: Gain

    @property
    def count(self) -> int:
        """Tasks on which it has a gain."""
        return sum(gain.estimate is not None for gain in self.gains)


@dataclass(frozen=True)
class Overview:
    """Gains of the methods of several tables."""

    column: GainColumn
    track: Track | None
    tables: tuple[Table, ...]
    """Sorted by tissue."""
    lines: tuple[Line, ...]
    """By regime, then by mean."""
    left_out: tuple[str, ...] = ()
    """Why other tables of the same measure are not in it."""

    @property
    def title(self) -> str:
        """What it shows, in words."""
        of = self.column.of
        measure = f"{of.group} ({of.unit})" if of.unit else of.group
        more = [self.track.words] if self.track else []
        more += ["sections missing"] if gaps_in(self.tables[0]) else []
        return " · ".join([f"Gain over the best kernel, {measure}", *more])

    @property
    def tissues(self) -> tuple[str, ...]:
        """Of each table."""
        return tuple(tissue_of(table.task.dataset) for table in self.tables)

    def text(self, gain: Gain) -> str:
        """The gain as printed."""
        return "" if gain.estimate is None else self.column.text(gain.estimate.value)

    def interval_text(self, gain: Gain) -> str:
        """The interval as printed; empty where there is none, or the value is exact."""
        found = gain.estimate
        if found is None or found.low is None or found.high is None or found.low == found.high:
            return ""
        return f"[{self.column.text(found.low)}, {self.column.text(found.high)}]"


def tissue_of(dataset: str) -> str:
    """What a dataset is a piece of: `tissue` of its card, or the dataset itself.

    >>> tissue_of("fib25s"), tissue_of("cremis"), tissue_of("local:mine.tif")
    ('fib25', 'cremi', 'local:mine.tif')
    """
    known = protocol.names("datasets")
    return str(protocol.load("datasets", dataset).get("tissue", dataset)) if dataset in known else dataset


def overviews(board: Leaderboard) -> tuple[Overview, ...]:
    """One for each measure and track that several tables have."""
    groups: dict[str, list[Table]] = {}
    for table in board.tables:
        if table.columns.gain and table.done:
            groups.setdefault(canonical_json(_alike(table, table.columns.gain)), []).append(table)
    return tuple(found for tables in groups.values() if (found := _overview(tables)))


def gaps_in(table: Table) -> bool:
    """Whether the task removes sections, which few methods fill."""
    return table.task.missing is not None


def _alike(table: Table, gain: GainColumn) -> list[object]:
    of = gain.of
    return [
        of.metric,
        of.variant,
        of.unit,
        of.better,
        table.protocol,
        asdict(table.track) if table.track else None,
        gaps_in(table),
    ]


def _overview(tables: Sequence[Table]) -> Overview | None:
    left_out = tuple(f"{table.title}: {reason}" for table in tables if (reason := _unfit(table)))
    tables = sorted((t for t in tables if not _unfit(t)), key=lambda t: tissue_of(t.task.dataset))
    column = tables[0].columns.gain if tables else None
    if column is None or len(tables) < 2:
        return None
    rows: dict[str, list[Mapping[str, Row]]] = {}
    by_task = arguments_by_task(tables)
    by_table = [_rows(table, by_task) for table in tables]
    for key in dict.fromkeys(key for found in by_table for key in found):
        rows[key] = [found.get(key, {}) for found in by_table]
    specs = {key: next(row.spec for found in each for row in found.values()) for key, each in rows.items()}
    labels = label_variants(specs)
    tissues = [tissue_of(table.task.dataset) for table in tables]
    lines = [_line(labels[key], each, tables, tissues) for key, each in rows.items()]
    lines.sort(key=_order)
    return Overview(column, tables[0].track, tuple(tables), tuple(lines), left_out)


def _unfit(table: Table) -> str:
    """Why a table says nothing about methods on other tasks; empty if it does."""
    if not table.best_kernel:
        return "no kernel has finished"
    return f"methods {LEARNED_FROM_SCORED}" if any(row.contaminated for row in table.rows) else ""


def arguments_by_task(tables: Sequence[Table]) -> dict[tuple[str, str], frozenset[str]]:
    """Arguments that presets make depend on the task, by method and preset."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for row in (row for table in tables for row in table.rows):
        for _, result in row.runs:
            key = result.spec.method.entry, result.spec.preset
            found[key] = found.get(key, frozenset()) | frozenset(result.preset_facts.by_task)
    return found


def _rows(table: Table, by_task: Mapping[tuple[str, str], frozenset[str]]) -> dict[str, Mapping[str, Row]]:
    """Rows of a table by what a method is, wherever it runs; `done` and another one where seeds ended differently."""
    found: dict[str, Mapping[str, Row]] = {}
    for row in table.rows:
        key = identity(row.spec, by_task[row.spec.method.entry, row.spec.preset])
        found[key] = {"done" if row.done else "undone": row, **found.get(key, {})}
    return found


def identity(spec: RunSpec, by_task: Collection[str] = ()) -> str:
    """What makes a method the same one on other tasks, whatever arguments its preset makes depend on the task."""
    method = {**asdict(spec.method), "arguments": without(spec.method.arguments, by_task)}
    return canonical_json([method, spec.preset, spec.precision, spec.mode or None, spec.learned_from])


def without(arguments: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Arguments less some of them; dots lead into those that are mappings.

    >>> without({"a": 1, "b": {"c": 2, "d": 3}}, ["a", "b.c"])
    {'b': {'d': 3}}
    """
    kept = {name: value for name, value in arguments.items() if name not in names}
    for name, value in kept.items():
        inner = [one.removeprefix(f"{name}.") for one in names if one.startswith(f"{name}.")]
        if inner and isinstance(value, Mapping):
            kept[name] = without(value, inner)
    return kept


def _line(label: str, each: Sequence[Mapping[str, Row]], tables: Sequence[Table], tissues: Sequence[str]) -> Line:
    gains = tuple(_gain(table, rows) for table, rows in zip(tables, each, strict=True))
    regime = next(row.regime for rows in each for row in rows.values())
    lacking = sum(gain.estimate is None for gain in gains)
    if lacking:
        return Line(label, regime, gains, Gain(reason=f"a gain on {len(gains) - lacking} of {len(gains)} tasks"))
    groups: dict[str, list[Estimate]] = {}
    for gain, tissue in zip(gains, tissues, strict=True):
        groups.setdefault(tissue, []).extend([gain.estimate] if gain.estimate else [])
    return Line(label, regime, gains, Gain(mean_of_groups(list(groups.values()))))


def _gain(table: Table, rows: Mapping[str, Row]) -> Gain:
    row, column = rows.get("done"), table.columns.gain
    if row is None or column is None:
        undone = rows.get("undone")
        return Gain(reason=f"{undone.status}: {undone.reason or 'no reason recorded'}" if undone else "not run")
    cell = row.cells[MAIN_RANGE][column.key]
    if cell.value is None:
        return Gain(reason="; ".join(cell.notes))
    best = (MAIN_RANGE, column.of.key, row.label) in table.best
    interval = table.certainty.intervals.get((column.key, row.label))
    if row is table.best_kernel:
        return Gain(Estimate(0.0, 0.0, 0.0), best=best)
    ends = (interval.low, interval.high) if interval else (None, None)
    return Gain(Estimate(cell.value, *ends), best=best)


def _order(line: Line) -> tuple[object, ...]:
    mean = line.mean.estimate
    return (regime_order(line.regime), mean is None, -mean.value if mean else -line.count, line.label)


def heads(overview: Overview) -> Iterable[tuple[Table, str, str]]:
    """Tables with the title of their task and the best kernel of each, with how many it is the best of."""
    for table in overview.tables:
        kernel = table.best_kernel.label if table.best_kernel else ""
        yield table, table.title, kernel + (f" of {len(table.kernels)}" if len(table.kernels) > 1 else " alone")
