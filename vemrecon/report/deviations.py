"""How far presets are from what they are named after, as far as the runs of a table have kept it."""

from __future__ import annotations

from vemrecon.report.leaderboard import Table
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.row import Row


def deviating_rows(table: Table) -> tuple[Row, ...]:
    """Rows whose preset differs from the paper, or the released code, that it is named after."""
    return tuple(row for row in table.rows if row.deviations)


def deviation_lines(table: Table) -> list[str]:
    """Where these rows differ, in short, and the command that says how."""
    lines, scale = [], f"{table.task.scale:g}"
    for row in deviating_rows(table):
        places = ", ".join(dict.fromkeys(one.at for one in row.deviations))
        asked = f"vemrecon methods {row.spec.method.entry} --preset {row.preset} --scale {scale}"
        lines.append(
            f"{row.label}: preset '{row.preset}' deviates from what it is named after in {places}; see {asked}"
        )
    return lines


def deviations_panel(table: Table, look: Look) -> Fragment | None:
    """How each of these rows differs."""
    if not (rows := deviating_rows(table)):
        return None
    return Fragment(look.render("deviations", rows=rows))
