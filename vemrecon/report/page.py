"""The leaderboard as one HTML file that needs nothing but itself: a list of panels for every task."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vemrecon.bench.result import Status
from vemrecon.files import slug
from vemrecon.report.agreement import agreements
from vemrecon.report.calibration import calibration_panel
from vemrecon.report.curves import correlation_panel
from vemrecon.report.depth import depth_panel
from vemrecon.report.deviations import deviations_panel
from vemrecon.report.kept_weights import weights_panel
from vemrecon.report.layering import layering_panel
from vemrecon.report.leaderboard import Leaderboard, Table
from vemrecon.report.learning import learning_panel
from vemrecon.report.overview import overviews
from vemrecon.report.page_agreement import agreement_html
from vemrecon.report.page_overview import overview_html
from vemrecon.report.page_provenance import cards_of, provenance_panel
from vemrecon.report.page_segmentation import segmentation_panel
from vemrecon.report.page_table import published_panel, scores_panel
from vemrecon.report.panel import TEMPLATES, Fragment, Look, Panel
from vemrecon.report.profiles import profiles_panel
from vemrecon.report.scatter import cost_panel
from vemrecon.report.spectra import spectrum_panel
from vemrecon.report.track import track_panel
from vemrecon.report.viewer import viewer_panel

if TYPE_CHECKING:
    from markupsafe import Markup

PANELS: tuple[Panel, ...] = (
    track_panel,
    scores_panel,
    weights_panel,
    published_panel,
    viewer_panel,
    depth_panel,
    segmentation_panel,
    correlation_panel,
    spectrum_panel,
    cost_panel,
    calibration_panel,
    learning_panel,
    profiles_panel,
    layering_panel,
    deviations_panel,
    provenance_panel,
)
"""What the page of a task shows, in this order."""


def html_text(board: Leaderboard, pictures: int) -> tuple[str, tuple[str, ...]]:
    """The page, and warnings about pictures or curves that could not be read.

    Args:
        board: All tables.
        pictures: Rows of a table whose sections are shown.
    """
    return page_text(board, Look.of(board, pictures))


def page_text(board: Leaderboard, look: Look, home: str = "") -> tuple[str, tuple[str, ...]]:
    """The page of some tables.

    Args:
        board: These.
        look: Shared by all pages of a site.
        home: Address of the first page of the site that it belongs to; empty for one that stands alone.
    """
    tasks = [_task(table, look) for table in board.tables]
    warnings = tuple(warning for task in tasks for warning in task["warnings"])
    page = look.render(
        "report",
        home=home,
        overviews=[overview_html(overview, look) for overview in overviews(board)],
        agreements=[agreement_html(agreement, look) for agreement in agreements(board)],
        tasks=tasks,
        cards=[{**card, "page": page_of(card["name"])} for card in cards_of(board)],
        counts=counts_of(board),
        warnings=(*board.warnings, *warnings),
        styles=asset("report.css"),
        script=asset("report.js"),
    )
    return page, warnings


def asset(name: str) -> Markup:
    """A file that is part of every page."""
    import markupsafe

    return markupsafe.Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def page_of(name: str) -> str:
    """File name of the page of a method or dataset."""
    return f"{slug(name)}.html"


def counts_of(board: Leaderboard) -> dict[str, int]:
    """Tasks, methods and runs, and runs by how they ended."""
    rows = [row for table in board.tables for row in table.rows]
    runs = {result.run_id: result for row in rows for _, result in row.runs}.values()
    return {
        "tasks": len(board.tables),
        "methods": len({row.method for row in rows}),
        "runs": len(runs),
        **{status.value: sum(run.status == status for run in runs) for status in Status},
    }


def _task(table: Table, look: Look) -> dict[str, Any]:
    import markupsafe

    fragments = [fragment for panel in PANELS if (fragment := panel(table, look))]
    warnings = (*_problems(table, look), *(warning for fragment in fragments for warning in fragment.warnings))
    html = "\n".join(_sections(table, fragments, look))
    return {"key": table.key, "title": table.title, "panels": markupsafe.Markup(html), "warnings": warnings}


def _problems(table: Table, look: Look) -> tuple[str, ...]:
    """One line for every file of a run that cannot be read, of the rows that are drawn."""
    rows = {row.label: row for row in (*look.drawn(table), *look.pictured(table))}
    return tuple(f"{table.title}, {row.label}: {line}" for row in rows.values() for line in row.kept.problems)


def _sections(table: Table, fragments: Sequence[Fragment], look: Look) -> list[str]:
    """Panels that are sections by themselves, and the others together with those of the same section."""
    import markupsafe

    drawn = look.drawn(table)
    legend = [(row.label, look.swatch(row.label)) for row in drawn]
    left_out = len(table.done) - len(drawn)
    texts = []
    for section, same in itertools.groupby(fragments, key=lambda fragment: fragment.section):
        if not section:
            texts += [fragment.html for fragment in same]
            continue
        rows = [
            (small, [markupsafe.Markup(fragment.html) for fragment in parts])
            for small, parts in itertools.groupby(same, key=lambda fragment: fragment.small)
        ]
        texts.append(look.render("section", title=section, rows=rows, legend=legend, left_out=left_out))
    return texts
