"""Segmentations of a leaderboard, put together from what its runs have kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase

from vemrecon.report.cells import Cell
from vemrecon.report.columns import Column
from vemrecon.report.judged import CEILING_LABEL, FLOOR_LABEL, METHOD, Line, Segmentation
from vemrecon.report.judges import CEILING, FLOOR, Judge, read_judges
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table
from vemrecon.report.load import artifact
from vemrecon.report.segmentation_columns import (
    REFERENCES,
    SHOWN,
    is_segmentation,
    key_of,
    parsed,
)


def with_segmentations(board: Leaderboard) -> Leaderboard:
    """The leaderboard with segmentations at every table, and no winner where different segmenters judged."""
    return replace(board, tables=tuple(_with_segmentations(table) for table in board.tables))


def _with_segmentations(table: Table) -> Table:
    columns = [column for column in table.columns if is_segmentation(column.metric, column.variant, column.plane)]
    if not columns:
        return table
    judged = {row.label: [read_judges(p) for run in row.runs if (p := artifact(*run, "curves"))] for row in table.done}
    things = dict.fromkeys(what for column in columns for what, _ in [parsed(column.variant) or ("", "")])
    made = tuple(_segmentation(table, what, judged) for what in things)
    unfair = {column.key for s in made if not s.fair for column in columns if column.variant.startswith(f"{s.what}, ")}
    best = frozenset(entry for entry in table.best if entry[1] not in unfair)
    return replace(table, segmentations=made, best=best)


def _segmentation(table: Table, what: str, judged: Mapping[str, Sequence[Mapping[str, Judge]]]) -> Segmentation:
    by_row = {label: [found[what] for found in runs if what in found] for label, runs in judged.items()}
    judges = {judge.weights: judge for found in by_row.values() for judge in found}
    letters = {weights: ascii_uppercase[n % 26] for n, weights in enumerate(judges)}
    known = {column.key: column for column in table.columns}
    columns = [
        (reference, known[key])
        for reference in REFERENCES
        for metric in SHOWN[reference]
        if (key := key_of(metric, what, reference)) in known
    ]
    lines = []
    for row in table.done:
        cells = {column.key: row.cells[MAIN_RANGE][column.key] for _, column in columns}
        who = "".join(sorted({letters[judge.weights] for judge in by_row[row.label]}))
        lines.append(Line(row.label, METHOD, cells, who, row))
    ceilings = [_reference(judge, CEILING, columns, letters) for judge in judges.values()]
    floors = [_reference(judge, FLOOR, columns, letters) for judge in judges.values()]
    lines = [_named_floor(line, floors) for line in lines]
    done = {line.judges for line in lines if line.role == FLOOR}
    lines = [*ceilings, *lines, *(floor for floor in floors if floor.judges not in done)]
    shown = [(r, c) for r, c in columns if any(line.cells[c.key].value is not None for line in lines)]
    return Segmentation(what, tuple(shown), tuple(lines), tuple(judges.values()))


def _reference(judge: Judge, name: str, columns: Sequence[tuple[str, Column]], letters: Mapping[str, str]) -> Line:
    scores = judge.references.get(name, {})
    cells = {c.key: Cell(scores.get((c.metric, c.variant)), notes=_why_none(name, r)) for r, c in columns}
    return Line(CEILING_LABEL if name == CEILING else FLOOR_LABEL, name, cells, letters[judge.weights])


def _why_none(name: str, reference: str) -> tuple[str, ...]:
    return ("it is what the others are compared with",) if (name, reference) == (CEILING, "truth") else ()


def _named_floor(line: Line, floors: Sequence[Line]) -> Line:
    """A run of the floor's own method, with the floor's own scores, is the floor: it is not shown twice."""
    same = line.row is not None and line.row.method == FLOOR
    values = {key: cell.value for key, cell in line.cells.items()}
    if same and any(f.judges == line.judges and {k: c.value for k, c in f.cells.items()} == values for f in floors):
        return replace(line, role=FLOOR)
    return line
