"""`Leaderboard`: results grouped into tables, seeds averaged, rows sorted, best values marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from vemrecon.bench.levels import LEVELS
from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.spec import RunSpec, Task
from vemrecon.bench.track import Track
from vemrecon.files import canonical_json
from vemrecon.metrics.column import Better
from vemrecon.report.cells import WHOLE, Cell, cell
from vemrecon.report.certainty import Certainty, certainty_of
from vemrecon.report.columns import AnyColumn, Columns, CostColumn, GainColumn, columns_of
from vemrecon.report.environments import hardware, values
from vemrecon.report.gain import best_kernel, gain_cells
from vemrecon.report.load import Run
from vemrecon.report.reference_rows import ReferenceRow, reference_rows
from vemrecon.report.row import Row
from vemrecon.report.row_labels import label_variants
from vemrecon.volume import SectionGrid
from vemrecon.volume.grey_range import GreyRange

if TYPE_CHECKING:
    from vemrecon.report.published_table import PublishedLine
    from vemrecon.report.segmentation_table import Segmentation

REGIMES = ("none", "self", "isotropic", "external")
MAIN_RANGE = WHOLE
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Table:
    """One task with the rows that were measured alike."""

    key: str
    task: Task
    protocol: int
    columns: Columns
    ranges: tuple[str, ...]
    rows: tuple[Row, ...]
    best: frozenset[tuple[str, str, str]]
    """(range, column key, row label) of the best values."""
    track: Track | None = None
    """What every training of its rows may take; None where presets say it."""
    references: tuple[ReferenceRow, ...] = ()
    """What volumes that no method has made score on the task; never part of the ranking."""
    published: tuple[PublishedLine, ...] = ()
    """What papers printed for the same tissue and scale; never part of the ranking."""
    segmentations: tuple[Segmentation, ...] = ()
    """What was found in the reconstructions, one for each thing that is looked for."""

    @property
    def title(self) -> str:
        """What a reader calls the task."""
        return " · ".join(table_words(self.task, self.track))

    @property
    def main(self) -> tuple[AnyColumn, ...]:
        """The columns that are always seen."""
        return self.columns.main

    @property
    def primary(self) -> AnyColumn:
        """The column that rows are sorted by."""
        return self.columns.primary

    @property
    def done(self) -> tuple[Row, ...]:
        """Rows with scores."""
        return tuple(row for row in self.rows if row.done)

    @property
    def ranked(self) -> tuple[Row, ...]:
        """Rows with scores that may win something."""
        return tuple(row for row in self.done if not row.contaminated)

    @property
    def levels(self) -> tuple[str, ...]:
        """How far its rows were verified, from the least on; none where they were not handed in."""
        return tuple(level for level in LEVELS if any(row.level == level for row in self.rows))

    @property
    def kernels(self) -> tuple[Row, ...]:
        """Finished kernels."""
        return tuple(row for row in self.rows if row.kernel)

    @cached_property
    def best_kernel(self) -> Row | None:
        """What gains are taken over."""
        gain = self.columns.gain
        return best_kernel(self.done, gain.of) if gain else None

    @cached_property
    def certainty(self) -> Certainty:
        """How sure the numbers are; computed when it is asked for, and once."""
        return certainty_of(self.done, self.columns, self.primary)

    @property
    def grid(self) -> SectionGrid | None:
        """Where the observed sections lie."""
        return next((result.grid for row in self.rows for _, result in row.runs if result.grid), None)

    @property
    def intensity_range(self) -> GreyRange | None:
        """Grey values of the truth that mean black and white, as the runs have kept it."""
        return next((r.intensity_range for row in self.rows for _, r in row.runs if r.intensity_range), None)

    @cached_property
    def voxel_size(self) -> tuple[float, float, float] | None:
        """Of the truth in nm, as the runs have kept it."""
        found = (row.kept.sections for row in self.done)
        return next((sections.voxel_size for sections in found if sections and sections.voxel_size), None)


@dataclass(frozen=True)
class Leaderboard:
    """All tables, and what could not be shown."""

    tables: tuple[Table, ...]
    warnings: tuple[str, ...] = ()


def table_words(task: Task, track: Track | None) -> tuple[str, ...]:
    """Those of the task, and of the track where there is one."""
    return (*task_words(task), *([track.words] if track else []))


def task_words(task: Task) -> tuple[str, ...]:
    """Dataset, split, axis, scale, degradation and what is missing, in words."""
    words = [task.dataset, task.split, f"{task.axis} {TIMES} {task.scale:g}", degradation_words(task)]
    words += [task.missing.words] if task.missing else []
    if task.kind != "reference":
        words.insert(2, task.kind)
    return tuple(words)


def degradation_words(task: Task) -> str:
    """Name and arguments."""
    given = ", ".join(f"{key}={value}" for key, value in sorted(task.degradation.arguments.items()))
    return f"{task.degradation.name}{f' ({given})' if given else ''}"


def build(runs: Iterable[Run], warnings: Iterable[str] = ()) -> Leaderboard:
    """Group results into tables, one per task, data, protocol version and track: others were not measured alike.

    Runs that learn nothing stand in the tables of all tracks, as a reference.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        spec = run[1].spec
        groups.setdefault(canonical_json([spec.task.as_dict(), spec.protocol, minutes_of(spec)]), []).append(run)
    for members in groups.values():
        spec = members[0][1].spec
        if spec.track:
            usual = groups.get(canonical_json([spec.task.as_dict(), spec.protocol, 0]), [])
            members += [run for run in usual if learns_nothing(run[1])]
    ordered = sorted(groups.items(), key=lambda item: (_table_order(item[1][0][1].spec), item[0]))
    tables: list[Table] = []
    notes = list(warnings)
    for _, members in ordered:
        table = _table(members, {table.key for table in tables})
        if tables and tables[-1].title == table.title:
            notes.append(f"{table.title}: results of other data or another protocol are in a table of their own")
        tables.append(table)
    return Leaderboard(tuple(tables), tuple(notes))


def minutes_of(spec: RunSpec) -> float:
    """Of the track of a run; 0 where it has none."""
    return spec.track.minutes if spec.track else 0


def learns_nothing(result: RunResult) -> bool:
    """Whether the method of a run is free of training."""
    return result.card is not None and result.card.regime == "none"


def _table_order(spec: RunSpec) -> tuple[object, ...]:
    return (*task_order(spec.task), minutes_of(spec))


def task_order(task: Task) -> tuple[object, ...]:
    """Sort key of a task: dataset, split, kind, axis, scale as a number, degradation, what is missing."""
    rest = canonical_json(asdict(task.degradation))
    return (task.dataset, task.split, task.kind, task.axis, task.scale, rest, str(task.missing or ""))


def _table(members: Sequence[Run], taken: set[str]) -> Table:
    results = [result for _, result in members]
    task, track = results[0].spec.task, results[0].spec.track
    found = {s.range for result in results if result.status == Status.DONE for s in result.scores if s.whole}
    ranges = (MAIN_RANGE, *sorted(found - {MAIN_RANGE}))
    columns = columns_of(results)
    rows = _with_gains(_rows(members, columns, ranges), columns, ranges)
    slug = "".join(c if c.isalnum() else "-" for c in "-".join(table_words(task, track)).lower())
    slug = "-".join(part for part in slug.split("-") if part)
    key = next(k for n in range(1, len(taken) + 2) if (k := slug if n == 1 else f"{slug}-{n}") not in taken)
    best, references = _best(columns, ranges, rows), reference_rows(results, columns, ranges)
    return Table(key, task, results[0].spec.protocol, columns, ranges, rows, best, track, references)


def _rows(members: Sequence[Run], columns: Columns, ranges: Sequence[str]) -> tuple[Row, ...]:
    variants: dict[str, list[Run]] = {}
    for run in members:
        variants.setdefault(canonical_json(replace(run[1].spec, seed=0, metrics=()).as_dict()), []).append(run)
    labels = label_variants({key: runs[0][1].spec for key, runs in variants.items()})
    rows = []
    for key, runs in variants.items():
        by_outcome: dict[tuple[Status, str], list[Run]] = {}
        for run in sorted(runs, key=lambda r: (r[1].spec.seed, r[1].run_id)):
            outcome = (run[1].status, "" if run[1].status == Status.DONE else run[1].reason)
            by_outcome.setdefault(outcome, []).append(run)
        for (status, reason), same in by_outcome.items():
            cells = _cells(same, columns, ranges) if status == Status.DONE else {}
            card = same[0][1].card
            rows.append(Row(labels[key], card.regime if card else "", status, reason, tuple(same), cells))
    return tuple(sorted(rows, key=lambda row: _row_order(row, columns.primary)))


def _with_gains(rows: Sequence[Row], columns: Columns, ranges: Sequence[str]) -> tuple[Row, ...]:
    """The rows, with the cells of the column of gains."""
    if (gain := columns.gain) is None:
        return tuple(rows)
    found = gain_cells([row for row in rows if row.done], gain, ranges)
    return tuple(
        replace(row, cells={name: {**row.cells[name], gain.key: found[row.label][name]} for name in ranges})
        if row.done
        else row
        for row in rows
    )


def regime_order(regime: str) -> int:
    """Place of a regime in every list."""
    return REGIMES.index(regime) if regime in REGIMES else len(REGIMES)


def _row_order(row: Row, column: AnyColumn) -> tuple[object, ...]:
    value = row.cells[MAIN_RANGE][column.key].value if row.done else None
    badness = column.better.badness(value) if value is not None else 0.0
    place = (row.contaminated, regime_order(row.regime), not row.done, value is None, badness)
    return (*place, row.label, row.status, row.reason)


def _cells(runs: Sequence[Run], columns: Columns, ranges: Sequence[str]) -> dict[str, dict[str, Cell]]:
    results = [result for _, result in runs]
    own = [column for column in columns.every if not isinstance(column, GainColumn)]
    return {name: {column.key: cell(results, column, name) for column in own} for name in ranges}


def environments(table: Table) -> dict[str, tuple[str, ...]]:
    """Distinct versions, commits and hardware behind the rows that have scores (or all, if none has), sorted."""
    known = [result.environment for row in table.done or table.rows for _, result in row.runs]
    found = {
        key: tuple(sorted({text for e in known for text in values(e, key) or ["not recorded"]}))
        for key in ("vemrecon", "commit")
    }
    return {**found, "hardware": tuple(sorted({hardware(e) for e in known}))}


def _best(columns: Columns, ranges: Sequence[str], rows: Sequence[Row]) -> frozenset[tuple[str, str, str]]:
    done = [row for row in rows if row.done and not row.contaminated]
    one_machine = len({hardware(result.environment) for row in done for _, result in row.runs}) < 2
    marked = set()
    for name in ranges:
        for column in columns.every:
            if isinstance(column, GainColumn) or column.better == Better.NEITHER:
                continue
            if isinstance(column, CostColumn) and not one_machine:
                continue
            values = {row.label: row.cells[name][column.key] for row in done}
            known = {label: v for label, c in values.items() if (v := c.value) is not None and c.comparable(column)}
            if len(known) > 1:
                winner = min(known.values(), key=column.better.badness)
                bounds = [c.value for label, c in values.items() if label not in known and c.value is not None]
                if any(column.better.badness(bound) <= column.better.badness(winner) for bound in bounds):
                    continue  # a value that is only a bound may be the better one
                same = {label for label, v in known.items() if column.text(v) == column.text(winner)}
                marked |= {(name, column.key, label) for label in same}
    return frozenset(marked)
