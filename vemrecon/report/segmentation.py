"""Segmentations of a leaderboard, put together from what its runs have kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase

from vemrecon.metrics.catalogue.segmentation import MEASURES
from vemrecon.metrics.column import Column
from vemrecon.metrics.score import Reference
from vemrecon.report.cells import Cell
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table
from vemrecon.report.row import Kept
from vemrecon.report.segmentation_table import (
    CEILING_LABEL,
    FLOOR_LABEL,
    METHOD,
    Line,
    Segmentation,
    column_order,
    shown_in,
)
from vemrecon.report.segmenter_record import CEILING, FLOOR, SegmenterRecord, segmenter_records

Letters = Mapping[tuple[str, str], str]
"""By which tables tell segmenters apart, by their keys."""


def with_segmentations(board: Leaderboard) -> Leaderboard:
    """The leaderboard with segmentations at every table, and no winner where different segmenters judged."""
    return replace(board, tables=tuple(_with_segmentations(table) for table in board.tables))


def _with_segmentations(table: Table) -> Table:
    columns = [c for c in table.columns.every if isinstance(c, Column) and c.per_target and c.metric in MEASURES]
    if not columns:
        return table
    judged = {row.label: [segmenter_records(Kept(*run).curves) for run in row.runs] for row in table.done}
    things = dict.fromkeys(column.target for column in columns)
    made = tuple(_segmentation(table, what, [c for c in columns if c.target == what], judged) for what in things)
    unfair = {column.key for s in made if not s.fair for column in columns if column.target == s.what}
    best = frozenset(entry for entry in table.best if entry[1] not in unfair)
    return replace(table, segmentations=made, best=best)


def _segmentation(
    table: Table, what: str, known: Sequence[Column], judged: Mapping[str, Sequence[Mapping[str, SegmenterRecord]]]
) -> Segmentation:
    by_row = {label: [found[what] for found in runs if what in found] for label, runs in judged.items()}
    judges = {judge.key: judge for found in by_row.values() for judge in found}
    letters = {key: ascii_uppercase[n % 26] for n, key in enumerate(judges)}
    columns = sorted((column for column in known if shown_in(column)), key=column_order)
    lines = []
    for row in table.done:
        cells = {column.key: row.cells[MAIN_RANGE][column.key] for column in columns}
        who = "".join(sorted({letters[judge.key] for judge in by_row[row.label]}))
        lines.append(Line(row.label, METHOD, cells, who, row))
    ceilings = [_reference(judge, CEILING, columns, letters) for judge in judges.values()]
    floors = [_reference(judge, FLOOR, columns, letters) for judge in judges.values()]
    lines = [_named_floor(line, floors) for line in lines]
    done = {line.judges for line in lines if line.role == FLOOR}
    lines = [*ceilings, *lines, *(floor for floor in floors if floor.judges not in done)]
    shown = tuple(column for column in columns if any(line.cells[column.key].value is not None for line in lines))
    return Segmentation(what, shown, tuple(lines), tuple(judges.values()))


def _reference(
    judge: SegmenterRecord, name: str, columns: Sequence[Column], letters: Mapping[tuple[str, str], str]
) -> Line:
    scores = judge.references.get(name, {})
    cells = {c.key: Cell(scores.get((c.metric, c.reference)), notes=_why_none(name, c.reference)) for c in columns}
    return Line(CEILING_LABEL if name == CEILING else FLOOR_LABEL, name, cells, letters[judge.key])


def _why_none(name: str, reference: Reference) -> tuple[str, ...]:
    itself = (name, reference) == (CEILING, Reference.TRUTH)
    return ("it is what the others are compared with",) if itself else ()


def _named_floor(line: Line, floors: Sequence[Line]) -> Line:
    """A run of the floor's own method, with the floor's own scores, is the floor: it is not shown twice."""
    same = line.row is not None and line.row.method == FLOOR
    values = {key: cell.value for key, cell in line.cells.items()}
    if same and any(f.judges == line.judges and {k: c.value for k, c in f.cells.items()} == values for f in floors):
        return replace(line, role=FLOOR)
    return line
