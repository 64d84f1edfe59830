"""The main table of a task on the page, and the published lines below it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vemrecon.bench.spec import LEARNED_FROM_SCORED
from vemrecon.metrics.score import SIGNS
from vemrecon.report.certainty import ONE_SEED
from vemrecon.report.chosen_rows import LARGE
from vemrecon.report.columns import AnyColumn, CostColumn, GainColumn
from vemrecon.report.footnotes import Footnotes
from vemrecon.report.leaderboard import MAIN_RANGE, Table, environments
from vemrecon.report.markdown import meanings
from vemrecon.report.panel import Fragment, Look, regimes_of
from vemrecon.report.published_table import COMPARABLE, PUBLISHED, PublishedPart, papers, parts
from vemrecon.report.row import Row
from vemrecon.statistics import Interval

if TYPE_CHECKING:
    from markupsafe import Markup

EN_DASH = "\N{EN DASH}"
RANGES = {"all": "all sections", "span": "between recorded sections only"}
MORE = "More"


def scores_panel(table: Table, look: Look) -> Fragment:
    """Heads and rows of the main table, for each scored range."""
    large = len(table.rows) > LARGE
    columns, more, names = (*table.columns.main, *table.columns.more), table.columns.more, table.ranges
    if large:
        columns, more, names = table.columns.main, (), (MAIN_RANGE,)
    ranges = [{"name": name, "words": RANGES.get(name, name), **_body(table, columns, name, look)} for name in names]
    html = look.render(
        "table",
        title=table.title,
        primary=table.primary.heading,
        groups=_groups(columns, more),
        columns=_heads(columns, more),
        more=bool(more),
        large=large,
        ranges=ranges,
        shown=regimes_of(table),
        ranked=bool(table.certainty.ranks),
        levels=bool(table.levels),
        certainty=(*table.certainty.notes, *meanings(table)),
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
    notes, axis, drawn = Footnotes(), Axis.of(table), {row.label for row in look.drawn(table)}
    rows = []
    for place, row in enumerate(table.rows):
        entry: dict[str, Any] = {"row": row, "place": place, "cells": [], "swatch": ""}
        if row.done:
            entry["swatch"] = look.swatch(row.label) if row.label in drawn else ""
            entry["cells"] = [_cell(table, row, column, name, notes, axis) for column in columns]
            entry["rank"] = _rank(table, row)
        entry["one_seed"] = ONE_SEED if row.one_seed else ""
        entry["mark"] = LEARNED_FROM_SCORED if row.contaminated else ""
        entry["seeds"] = ", ".join(str(result.spec.seed) for _, result in row.runs)
        rows.append(entry)
    references = [
        (
            row,
            [row.cells[name][column.key].text(column).replace("<= ", "≤ ").replace(">= ", "≥ ") for column in columns],
        )
        for row in table.references
    ]
    return {"rows": rows, "notes": notes.lines, "references": references}


def _rank(table: Table, row: Row) -> dict[str, str]:
    rank = table.certainty.ranks.get(row.label)
    if rank is None:
        return {"text": "", "sort": "", "title": ""}
    tied = table.certainty.tied(row.label)
    title = f"not told apart from: {', '.join(tied)}" if tied else ""
    return {"text": str(rank).replace("-", EN_DASH), "sort": f"{rank.best + rank.worst / 1000:.3f}", "title": title}


@dataclass(frozen=True)
class Axis:
    """What the bars of intervals of the main score have in common."""

    low: float
    high: float

    @classmethod
    def of(cls, table: Table) -> Axis | None:
        """From the lowest end of an interval to the highest; None where there is nothing to draw."""
        found = [interval for (key, _), interval in table.certainty.intervals.items() if key == table.primary.key]
        axis = cls(min((f.low for f in found), default=0.0), max((f.high for f in found), default=0.0))
        return axis if axis.high > axis.low else None

    def bar(self, interval: Interval, value: float) -> Markup:
        """A line from end to end with a mark at the value; the numbers are in the title of the cell."""
        import markupsafe

        low, high, at = (
            f"{2 + 76 * (v - self.low) / (self.high - self.low):.1f}" for v in (interval.low, interval.high, value)
        )
        path = f"M{low} 4H{high}M{low} 2v4M{high} 2v4"
        mark = f'<circle cx="{at}" cy="4" r="2"/>'
        return markupsafe.Markup(
            f'<svg class="ci" viewBox="0 0 80 8" aria-hidden="true"><path d="{path}"/>{mark}</svg>'
        )


def _cell(table: Table, row: Row, column: AnyColumn, name: str, notes: Footnotes, axis: Axis | None) -> dict[str, Any]:
    cell = row.cells[name][column.key]
    interval = table.certainty.intervals.get((column.key, row.label)) if name == MAIN_RANGE else None
    ends = table.certainty.interval_text(column, row.label) if interval else ""
    seen = isinstance(column, GainColumn)  # other intervals are bars, or titles alone
    sure = [f"95 % interval {ends}"] if ends and not seen else []
    bar: Markup | str = ""
    if axis and interval and column == table.primary and cell.value is not None:
        bar = axis.bar(interval, cell.value)
    few = f"n = {cell.count}" if cell.value is not None and cell.count != len(row.runs) else ""
    reasons = [] if cell.value is None and column in table.columns.more else list(cell.notes)
    notes_shown = () if cell.value is None and len(table.rows) > LARGE else cell.notes  # they are footnotes anyway
    known = cell.value is not None and not isinstance(column, CostColumn)
    text, large = cell.text(column), len(table.rows) > LARGE  # where every byte counts 40 000 times
    exact = [f"{SIGNS[cell.limit]}{cell.value!r} {column.unit}".strip()] if known and not large else []
    return {
        "sort": None if large and is_number(text) else "" if cell.value is None else repr(float(cell.value)),
        "text": text.replace("<= ", "≤ ").replace(">= ", "≥ "),
        "spread": ends if seen else cell.spread(column),
        "few": few,
        "marks": notes.marks(reasons),
        "bar": bar,
        "title": "; ".join((*exact, *sure, *([cell.sections] if cell.sections and not large else []), *notes_shown)),
        "best": (name, column.key, row.label) in table.best,
    }


def is_number(text: str) -> bool:
    """Whether a cell reads as the number that it is sorted by.

    >>> is_number("24.10"), is_number("2.5 s"), is_number("<= 70.0")
    (True, False, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True


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
