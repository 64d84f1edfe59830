"""Which weights trainings have kept, where methods do not take the last ones as they come."""

from __future__ import annotations

from html import escape

from vemrecon.report.chosen_rows import LARGE
from vemrecon.report.leaderboard import Table
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.row import Row


def weights_lines(table: Table) -> list[str]:
    """One line for each row whose weights were chosen; none in large tables, where the JSON has them."""
    found = {row.label: _words(row) for row in table.done if len(table.rows) <= LARGE}
    return [f"Weights of {label}: {words}." for label, words in found.items() if words]


def _words(row: Row) -> str:
    """Of every seed and stage; the stage is named where a method has several."""
    parts = []
    for result in row.results:
        stages = [f"{name} {one.text}" if len(result.chosen) > 1 else one.text for name, one in result.chosen.items()]
        seed = f"seed {result.spec.seed} " if len(row.runs) > 1 else ""
        parts += [seed + ", ".join(stages)] if stages else []
    return "; ".join(parts)


def weights_panel(table: Table, look: Look) -> Fragment | None:
    """The same below the scores of the page."""
    lines = weights_lines(table)
    return Fragment("".join(f'<p class="notes"><span>{escape(line)}</span></p>' for line in lines)) if lines else None
