"""How far tasks, measures and seeds agree on the order of methods, below the gains at the top of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vemrecon.report.agreement import Agreement
from vemrecon.report.panel import Look

if TYPE_CHECKING:
    from markupsafe import Markup


def agreement_html(agreement: Agreement, look: Look, pages: str = "#{}") -> Markup:
    """The table.

    Args:
        agreement: What it shows.
        look: Of the page.
        pages: Address of a task, whose key takes the place of the braces.
    """
    import markupsafe

    rows = [
        {"title": place.table.title, "page": pages.format(place.table.key), "cells": [*place.measures, place.seeds],
         "tables": place.tables}
        for place in agreement.places
    ]  # fmt: skip
    return markupsafe.Markup(look.render("agreement", agreement=agreement, rows=rows))
