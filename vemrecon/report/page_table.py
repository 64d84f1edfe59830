"""The main table of a task on the page, and the published lines below it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from vemrecon.metrics.score import SIGNS
from vemrecon.report.columns import AnyColumn, CostColumn
from vemrecon.report.footnotes import Footnotes
from vemrecon.report.leaderboard import Table, environments
from vemrecon.report.panel import Fragment, Look, regimes_of
from vemrecon.report.published_table import COMPARABLE, PUBLISHED, PublishedPart, papers, parts
from vemrecon.report.row import Row

RANGES = {"all": "all sections", "span": "between recorded sections only"}
MORE = "More"


def scores_panel(table: Table, look: Look) -> Fragment:
    """Heads and rows of the main table, for each scored range."""
    columns = (*table.columns.main, *table.columns.more)
    ranges = [
        {"name": name, "words": RANGES.get(name, name), **_body(table, columns, name, look)} for name in table.ranges
    ]
    html = look.render(
        "table",
        title=table.title,
        primary=table.primary.heading,
        groups=_groups(columns, table.columns.more),
        columns=_heads(columns, table.columns.more),
        more=bool(table.columns.more),
        ranges=ranges,
        shown=regimes_of(table),
        mixed=len(environments(table)["hardware"]) > 1,
    )
    return Fragment(html)


def published_panel(table: Table, look: Look) -> Fragment | None:
    """Published lines, those with a measure of the table first."""
    if not table.published:
        return None
    html = look.render(
        "published",
        number=len(table.published),
        published=[_published(part) for part in parts(table) if part.lines],
        papers=papers(table.published),
        published_words=PUBLISHED,
    )
    return Fragment(html)


def _groups(columns: Sequence[AnyColumn], more: Sequence[AnyColumn] = ()) -> list[dict[str, Any]]:
    names = [(MORE if column in more else column.group) for column in columns]
    found = []
    for name, same in itertools.groupby(zip(names, columns, strict=True), key=lambda pair: pair[0]):
        members = [column for _, column in same]
        unit = next((column.unit for column in members if column.unit), "") if name != MORE else ""
        found.append({"name": name, "unit": unit, "width": len(members), "more": name == MORE})
    return found


def _heads(columns: Sequence[AnyColumn], more: Sequence[AnyColumn] = ()) -> list[dict[str, Any]]:
    groups = [MORE if column in more else column.group for column in columns]
    return [
        {
            "column": column,
            "label": column.heading if groups[n] == MORE else column.label,
            "arrow": column.better.arrow,
            "first": n == 0 or groups[n - 1] != groups[n],
            "more": groups[n] == MORE,
        }
        for n, column in enumerate(columns)
    ]


def _body(table: Table, columns: Sequence[AnyColumn], name: str, look: Look) -> dict[str, Any]:
    notes = Footnotes()
    rows = []
    for place, row in enumerate(table.rows):
        entry: dict[str, Any] = {"row": row, "place": place, "cells": [], "swatch": ""}
        if row.done:
            entry["swatch"] = look.swatch(row.label)
            entry["cells"] = [_cell(table, row, column, name, notes) for column in columns]
        entry["seeds"] = ", ".join(str(result.spec.seed) for _, result in row.runs)
        rows.append(entry)
    return {"rows": rows, "notes": notes.lines}


def _cell(table: Table, row: Row, column: AnyColumn, name: str, notes: Footnotes) -> dict[str, Any]:
    cell = row.cells[name][column.key]
    few = f"n = {cell.count}" if cell.value is not None and cell.count != len(row.runs) else ""
    reasons = [] if cell.value is None and column in table.columns.more else list(cell.notes)
    known = cell.value is not None and not isinstance(column, CostColumn)
    exact = [f"{SIGNS[cell.limit]}{cell.value!r} {column.unit}".strip()] if known else []
    return {
        "sort": "" if cell.value is None else repr(float(cell.value)),
        "text": cell.text(column).replace("<= ", "≤ ").replace(">= ", "≥ "),
        "spread": cell.spread(column),
        "few": few,
        "marks": notes.marks(reasons),
        "title": "; ".join((*exact, *([cell.sections] if cell.sections else []), *cell.notes)),
        "best": (name, column.key, row.label) in table.best,
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
