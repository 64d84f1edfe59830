"""Which rows of a table the page draws: it stays small however many there are."""

from __future__ import annotations

from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.row import Row

PICTURES = 4
"""Rows of a table whose sections are shown where nobody asks for others; one row takes up to 0.6 MB."""
CURVES = 30
"""Rows of a table whose curves are drawn; more of them cannot be told apart."""
LARGE = 200
"""Rows from which on a table has its main columns alone, and no list of runs; leaderboard.csv has all."""


def best_rows(table: Table, number: int) -> tuple[Row, ...]:
    """The finished rows with the best main scores, in the order of the table.

    The best one without training is always among them, as what the others have to beat.
    """
    if number >= len(table.done):
        return table.done
    main = table.primary

    def badness(row: Row) -> tuple[bool, bool, float]:
        value = row.cells[MAIN_RANGE][main.key].value
        return row.contaminated, value is None, main.better.badness(value) if value is not None else 0.0

    best = sorted(table.done, key=badness)
    reference = [row for row in best if row.regime == "none"][:1]
    chosen = {row.label for row in (reference + [row for row in best if row not in reference])[:number]}
    return tuple(row for row in table.done if row.label in chosen)
