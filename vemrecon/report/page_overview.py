"""Gains of methods on several tasks, at the top of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vemrecon.report.chosen_rows import LARGE
from vemrecon.report.footnotes import Footnotes
from vemrecon.report.leaderboard import task_words
from vemrecon.report.overview import RULE, Gain, Line, Overview, heads
from vemrecon.report.panel import Look

if TYPE_CHECKING:
    from markupsafe import Markup

MISSING = "\N{EN DASH}"


def overview_html(overview: Overview, look: Look, pages: str = "#{}") -> Markup:
    """The table, with a group of columns for each tissue.

    Args:
        overview: What it shows.
        look: Of the page.
        pages: Address of a task, whose key takes the place of the braces.
    """
    import markupsafe

    notes, lines, tissues = Footnotes(), _chosen(overview), overview.tissues
    first = [n == 0 or tissues[n - 1] != tissue for n, tissue in enumerate(tissues)]
    columns = [
        {
            "page": pages.format(table.key),
            "words": _words(table.task),
            "title": title,
            "kernel": kernel,
            "first": first[n],
        }
        for n, (table, title, kernel) in enumerate(heads(overview))
    ]
    rows = [
        {
            "line": line,
            "mean": _cell(overview, line.mean, notes),
            "cells": [{**_cell(overview, gain, notes), "first": first[n]} for n, gain in enumerate(line.gains)],
        }
        for line in lines
    ]
    html = look.render(
        "overview",
        overview=overview,
        tissues=[(tissue, tissues.count(tissue)) for tissue in dict.fromkeys(tissues)],
        columns=columns,
        rows=rows,
        notes=notes.lines,
        hidden=len(overview.lines) - len(lines),
        rule=RULE,
    )
    return markupsafe.Markup(html)


def _chosen(overview: Overview) -> list[Line]:
    """All lines, or the best ones where there are very many, in their order."""

    def badness(line: Line) -> tuple[int, float]:
        mean = line.mean.estimate
        return (0, -mean.value) if mean else (1, -float(line.count))

    kept = {line.label for line in sorted(overview.lines, key=badness)[:LARGE]}
    return [line for line in overview.lines if line.label in kept]


def _words(task: Any) -> list[str]:
    """Of a task, without its dataset; a line each."""
    return list(task_words(task)[1:])


def _cell(overview: Overview, gain: Gain, notes: Footnotes) -> dict[str, Any]:
    return {
        "text": overview.text(gain) or MISSING,
        "interval": overview.interval_text(gain),
        "best": gain.best,
        "missing": gain.estimate is None,
        "marks": notes.marks([gain.reason] if gain.reason else []),
    }
