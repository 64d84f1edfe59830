"""`Leaderboard`: results grouped into tables, seeds averaged, rows sorted, best values marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vemrecon.files import canonical_json
from vemrecon.report.cells import Cell, cost_cell, score_cell
from vemrecon.report.columns import APART, MORE, Column, badness, main_columns, other_columns, primary_key
from vemrecon.report.load import Run, number
from vemrecon.report.made_with import hardware, values
from vemrecon.report.row import Row
from vemrecon.report.segmentation_columns import segmentation_columns

if TYPE_CHECKING:
    from vemrecon.report.judged import Segmentation
    from vemrecon.report.published_line import PublishedLine

REGIMES = ("none", "self", "isotropic", "external")
MAIN_RANGE = "all"
TIMES = "\N{MULTIPLICATION SIGN}"
IDENTITY = ("dataset_digest", "split_digest", "protocol")
"""Runs that differ in one of these were not measured alike and never share a table."""


@dataclass(frozen=True)
class Table:
    """One task with the rows that were measured alike."""

    key: str
    task: Mapping[str, Any]
    identity: Mapping[str, Any]
    columns: tuple[Column, ...]
    ranges: tuple[str, ...]
    rows: tuple[Row, ...]
    best: frozenset[tuple[str, str, str]]
    """(range, column key, row label) of the best values."""
    published: tuple[PublishedLine, ...] = ()
    """What papers printed for the same tissue and scale; never part of the ranking."""
    segmentations: tuple[Segmentation, ...] = ()
    """What was found in the reconstructions, one for each thing that is looked for."""

    @property
    def title(self) -> str:
        """What a reader calls the task."""
        return " · ".join(task_words(self.task))

    @property
    def main(self) -> tuple[Column, ...]:
        """The columns that are always seen."""
        return tuple(c for c in self.columns if c.group not in (MORE, APART))

    @property
    def primary(self) -> Column:
        """The column that rows are sorted by."""
        return next(c for c in self.columns if c.key == primary_key(str(self.task["kind"])))

    @property
    def done(self) -> tuple[Row, ...]:
        """Rows with scores."""
        return tuple(row for row in self.rows if row.status == "done")


@dataclass(frozen=True)
class Leaderboard:
    """All tables, and what could not be shown."""

    tables: tuple[Table, ...]
    warnings: tuple[str, ...] = ()


def task_words(task: Mapping[str, Any]) -> tuple[str, ...]:
    """Dataset, split, axis, scale and degradation in words."""
    degradation = task.get("degradation") or {}
    words = [task["dataset"], task["split"], f"{task['axis']} {TIMES} {task['scale']:g}"]
    if degradation:
        arguments = degradation.get("arguments") or {}
        given = ", ".join(f"{key}={value}" for key, value in sorted(arguments.items()))
        words.append(f"{degradation.get('name', '')}{f' ({given})' if given else ''}")
    if task["kind"] not in ("reference", "axial"):
        words.insert(2, task["kind"])
    return tuple(str(word) for word in words)


def build(runs: Iterable[Run], warnings: Iterable[str] = ()) -> Leaderboard:
    """Group results into tables, one per task, data and protocol version."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        spec = run[1].spec
        groups.setdefault(canonical_json([spec["task"], spec.get("protocol")]), []).append(run)
    ordered = sorted(groups.items(), key=lambda item: (task_order(item[1][0][1].spec["task"]), item[0]))
    tables: list[Table] = []
    notes = list(warnings)
    for _, members in ordered:
        table = _table(members, {table.key for table in tables})
        if tables and tables[-1].title == table.title:
            notes.append(f"{table.title}: results of other data or another protocol are in a table of their own")
        tables.append(table)
    return Leaderboard(tuple(tables), tuple(notes))


def task_order(task: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort key of a task: dataset, split, kind, axis, scale as a number, degradation."""
    rest = canonical_json(task.get("degradation"))
    return (task["dataset"], task["split"], task["kind"], task["axis"], float(task["scale"]), rest)


def _table(members: Sequence[Run], taken: set[str]) -> Table:
    spec = members[0][1].spec
    main = main_columns(spec["task"]["kind"], spec["task"]["axis"])
    whole = [s for _, r in members if r.status == "done" for s in r.scores if s["block"] == "all"]
    ranges = (MAIN_RANGE, *sorted({s["range"] for s in whole} - {MAIN_RANGE}))
    columns = _columns(main, whole)
    rows = _rows(members, columns, ranges)
    slug = "".join(c if c.isalnum() else "-" for c in "-".join(task_words(spec["task"])).lower())
    slug = "-".join(part for part in slug.split("-") if part)
    key = next(k for n in range(1, len(taken) + 2) if (k := slug if n == 1 else f"{slug}-{n}") not in taken)
    identity = {name: spec["task"].get(name, spec.get(name)) for name in IDENTITY}
    return Table(key, spec["task"], identity, columns, ranges, rows, _best(columns, ranges, rows))


def _columns(main: tuple[Column, ...], scores: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The main columns with those of segmentations before the costs, then everything else that was scored."""
    found = {(s["metric"], s["variant"], s["plane"]) for s in scores}
    known = {(s["metric"], s["variant"], s["plane"]) for s in scores if number(s.get("value")) is not None}
    judged = segmentation_columns(found, known)
    shown = tuple(c for c in judged if c.group != APART)
    main = (*(c for c in main if not c.cost), *shown, *(c for c in main if c.cost))
    return (*main, *other_columns(found, (*main, *judged)), *(c for c in judged if c.group == APART))


def _rows(members: Sequence[Run], columns: Sequence[Column], ranges: Sequence[str]) -> tuple[Row, ...]:
    variants: dict[str, list[Run]] = {}
    for run in members:
        spec = {k: v for k, v in run[1].spec.items() if k != "seed"}
        variants.setdefault(canonical_json(spec), []).append(run)
    labels = label_variants({key: runs[0][1].spec for key, runs in variants.items()})
    rows = []
    for key, runs in variants.items():
        by_outcome: dict[tuple[str, str], list[Run]] = {}
        for run in sorted(runs, key=lambda r: (str(r[1].spec.get("seed", "")).zfill(12), r[1].run_id)):
            outcome = (run[1].status, "" if run[1].status == "done" else run[1].reason)
            by_outcome.setdefault(outcome, []).append(run)
        for (status, reason), same in by_outcome.items():
            cells = _cells(same, columns, ranges) if status == "done" else {}
            regime = str(same[0][1].card.get("regime") or "")
            rows.append(Row(labels[key], regime, status, reason, tuple(same), cells))
    return tuple(sorted(rows, key=_row_order))


def _row_order(row: Row) -> tuple[Any, ...]:
    regime = REGIMES.index(row.regime) if row.regime in REGIMES else len(REGIMES)
    key = primary_key(str(row.spec["task"]["kind"]))
    value = row.cells[MAIN_RANGE][key].value if row.status == "done" else None
    return (regime, row.status != "done", value is None, -(value or 0.0), row.label, row.status, row.reason)


def _cells(runs: Sequence[Run], columns: Sequence[Column], ranges: Sequence[str]) -> dict[str, dict[str, Cell]]:
    results = [result for _, result in runs]
    return {
        name: {c.key: cost_cell(results, c) if c.cost else score_cell(results, c, name) for c in columns}
        for name in ranges
    }


def label_variants(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The shortest names that tell the variants of a table apart: method, then preset, then what else differs."""
    labels: dict[str, str] = {}
    for key, spec in specs.items():
        same = [other for other in specs.values() if other["method"]["name"] == spec["method"]["name"]]
        parts = [] if len({str(o.get("preset")) for o in same}) == 1 else [str(spec.get("preset"))]
        same = [other for other in same if other.get("preset") == spec.get("preset")]
        facts = [_facts(other) for other in same]
        mine = _facts(spec)
        parts += [f"{k}={v}" for k, v in sorted(mine.items()) if any(other.get(k) != v for other in facts)]
        labels[key] = spec["method"]["name"] + (f" ({', '.join(parts)})" if parts else "")
    doubles = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    number = {key: n for n, key in enumerate(sorted(specs), start=1)}
    return {key: f"{label} #{number[key]}" if label in doubles else label for key, label in labels.items()}


def _facts(spec: Mapping[str, Any]) -> dict[str, str]:
    arguments = spec["method"].get("arguments") or {}
    facts = {str(k): v if isinstance(v, str) else canonical_json(v) for k, v in arguments.items()}
    return {**facts, "version": str(spec["method"].get("version")), "precision": str(spec.get("precision"))}


def environments(table: Table) -> dict[str, tuple[str, ...]]:
    """Distinct versions, commits and hardware behind the rows that have scores (or all, if none has), sorted."""
    known = [result.environment for row in table.done or table.rows for _, result in row.runs]
    found = {
        key: tuple(sorted({text for e in known for text in values(e, key) or ["not recorded"]}))
        for key in ("vemrecon", "commit")
    }
    return {**found, "hardware": tuple(sorted({hardware(e) for e in known}))}


def _best(columns: Sequence[Column], ranges: Sequence[str], rows: Sequence[Row]) -> frozenset[tuple[str, str, str]]:
    done = [row for row in rows if row.status == "done"]
    one_machine = len({hardware(result.environment) for row in done for _, result in row.runs}) < 2
    marked = set()
    for name in ranges:
        for column in (c for c in columns if c.better and (one_machine or not c.cost)):
            values = {row.label: row.cells[name][column.key] for row in done}
            known = {label: v for label, c in values.items() if (v := c.value) is not None and c.comparable(column)}
            if len(known) > 1:
                winner = min(known.values(), key=lambda v: badness(column, v))
                bounds = [cell.value for label, cell in values.items() if label not in known and cell.value is not None]
                if any(badness(column, bound) <= badness(column, winner) for bound in bounds):
                    continue  # a value that is only a bound may be the better one
                same = {label for label, v in known.items() if column.text(v) == column.text(winner)}
                marked |= {(name, column.key, label) for label in same}
    return frozenset(marked)
