"""The main table of a task on the HTML page, and the published lines below it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from vemrecon.report.beside import COMPARABLE, PublishedPart, parts
from vemrecon.report.columns import APART, ARROWS, MORE, Column
from vemrecon.report.footnotes import Footnotes
from vemrecon.report.frame import swatch
from vemrecon.report.leaderboard import Table
from vemrecon.report.row import Row

RANGES = {"all": "all sections", "span": "between recorded sections only"}


def main_table(table: Table, indices: Mapping[str, int]) -> dict[str, Any]:
    """Heads and rows of the main table, for each scored range."""
    columns = tuple(c for c in table.columns if c.group != APART)
    return {
        "groups": _groups(columns),
        "columns": _heads(columns),
        "more": any(c.group == MORE for c in columns),
        "ranges": [{"name": n, "words": RANGES.get(n, n), **_body(table, columns, n, indices)} for n in table.ranges],
    }


def published_tables(table: Table) -> list[dict[str, Any]]:
    """Published lines for the page, those with a measure of the table first."""
    return [_published(part) for part in parts(table) if part.lines]


def _groups(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    return [_group(name, list(same)) for name, same in itertools.groupby(columns, lambda c: c.group)]


def _group(name: str, columns: Sequence[Column]) -> dict[str, Any]:
    unit = next((c.unit for c in columns if c.unit), "") if name != MORE else ""
    return {"name": name, "unit": unit, "width": len(columns)}


def _heads(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    groups = [column.group for column in columns]
    return [
        {"column": column, "arrow": ARROWS[column.better], "first": n == 0 or groups[n - 1] != column.group}
        for n, column in enumerate(columns)
    ]


def _body(table: Table, columns: Sequence[Column], name: str, indices: Mapping[str, int]) -> dict[str, Any]:
    import markupsafe

    notes = Footnotes()
    rows = []
    for place, row in enumerate(table.rows):
        entry: dict[str, Any] = {"row": row, "place": place, "cells": [], "swatch": ""}
        if row.status == "done":
            entry["swatch"] = markupsafe.Markup(swatch(indices[row.label]))
            entry["cells"] = [_cell(table, row, column, name, notes) for column in columns]
        entry["seeds"] = ", ".join(str(result.spec.get("seed", "")) for _, result in row.runs)
        rows.append(entry)
    return {"rows": rows, "notes": notes.lines}


def _cell(table: Table, row: Row, column: Column, name: str, notes: Footnotes) -> dict[str, Any]:
    cell = row.cells[name][column.key]
    few = f"n = {cell.count}" if cell.value is not None and cell.count != len(row.runs) else ""
    reasons = [] if cell.value is None and column.group == MORE else list(cell.notes)
    exact = [f"{cell.limit}{cell.value!r} {column.unit}".strip()] if cell.value is not None and not column.cost else []
    return {
        "sort": "" if cell.value is None else repr(float(cell.value)),
        "text": cell.text(column).replace("<= ", "≤ ").replace(">= ", "≥ "),
        "spread": cell.spread(column),
        "few": few,
        "marks": notes.marks(reasons),
        "title": "; ".join((*exact, *([cell.sections] if cell.sections else []), *cell.notes)),
        "best": (name, column.key, row.label) in table.best,
        "group": column.group,
    }


def _published(part: PublishedPart) -> dict[str, Any]:
    heads, notes = _heads(part.columns), Footnotes()
    lines = []
    for line in part.lines:
        first, *rest = line.reasons or (COMPARABLE,)
        cells = [(line.text(head["column"].key), line.spread(head["column"].key), head["first"]) for head in heads]
        lines.append({"line": line, "cells": cells, "first": first, "marks": notes.marks(rest)})
    return {
        "title": part.title,
        "lines": lines,
        "groups": _groups(part.columns),
        "heads": heads,
        "notes": notes.lines,
    }
