"""Axial continuity and layering: the measures of the metric `axial`, in a table of their own."""

from __future__ import annotations

from vemrecon.metrics.catalogue import metric
from vemrecon.metrics.column import Better, Column
from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.panel import Fragment, Look


def layering_columns(table: Table) -> tuple[Column, ...]:
    """What the table shows: of the metric `axial` all that any run has, but not the values of the truth itself.

    Source: metrics.md, section 4.
    """
    axial = {column.key for column in table.columns.every if isinstance(column, Column) and column.metric == "axial"}
    known = {key for key in axial for row in table.done if row.cells[MAIN_RANGE][key].value is not None}
    every = metric("axial").columns(table.task.kind, table.task.axis)
    return tuple(c for c in every if c.key in known and (c.better != Better.NEITHER or c.variant == "periodic_error"))


def layering_panel(table: Table, look: Look) -> Fragment | None:
    """Nothing where the metric was not asked for."""
    columns = layering_columns(table)
    if not columns:
        return None
    rows = []
    for row in look.drawn(table):
        cells = [(column, row.cells[MAIN_RANGE][column.key]) for column in columns]
        shown = [(cell.text(column), cell.spread(column), "; ".join(cell.notes)) for column, cell in cells]
        rows.append((row.label, look.swatch(row.label), shown))
    return Fragment(look.render("layering", columns=columns, rows=rows), f"Along the degraded axis ({table.task.axis})")
