"""What the HTML page shows of segmentations: a table of scores, who judged, and pictures of what was found."""

from __future__ import annotations

import itertools
from typing import Any

from vemrecon.metrics.catalogue.segmentation import MEASURES, REFERENCES
from vemrecon.metrics.score import Reference
from vemrecon.report.gallery import build_gallery
from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.overlay import CLASSES
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.segmentation_table import UNFAIR, Line, Segmentation

DASH = "\N{EN DASH}"


def segmentation_panel(table: Table, look: Look) -> Fragment | None:
    """One section for each thing that was looked for."""
    views = [_view(table, found, look) for found in table.segmentations]
    if not views:
        return None
    html = "".join(look.render("segmentation", view=view) for view in views)
    return Fragment(html, warnings=tuple(warning for view in views for warning in view["warnings"]))


def _view(table: Table, found: Segmentation, look: Look) -> dict[str, Any]:
    gallery = build_gallery(table, found, look.pictured(table))
    drawn = {row.label for row in look.drawn(table)}
    lines = [line for line in found.lines if line.row is None or line.label in drawn]
    references = [column.reference for column in found.columns]
    return {
        "title": found.title,
        "groups": [(REFERENCES[name], len(list(same))) for name, same in itertools.groupby(references)],
        "heads": [
            (MEASURES[column.metric].label, column, column.better.arrow, n == 0 or references[n - 1] != references[n])
            for n, column in enumerate(found.columns)
        ],
        "lines": [_line(table, found, line, look) for line in lines],
        "reasons": list(dict.fromkeys(line.reason for line in lines)),
        "judges": found.judges_in_words(),
        "unfair": "" if found.fair else UNFAIR,
        "meanings": found.meanings,
        "gallery": gallery,
        "captions": {line.label: _caption(found, line) for line in lines},
        "classes": [(name, f"rgb({' '.join(map(str, colour))})") for name, colour in CLASSES.items()],
        "warnings": gallery.warnings,
    }


def _line(table: Table, found: Segmentation, line: Line, look: Look) -> dict[str, Any]:
    cells = []
    for number, column in enumerate(found.columns):
        cell = line.cells[column.key]
        exact = () if cell.value is None else (f"{cell.value!r} {column.unit}".strip(),)
        cells.append({
            "text": cell.text(column) or DASH,
            "spread": cell.spread(column),
            "title": "; ".join((*exact, *cell.notes)),
            "best": line.row is not None and (MAIN_RANGE, column.key, line.label) in table.best,
            "first": number == 0 or found.columns[number - 1].reference != column.reference,
        })  # fmt: skip
    return {
        "label": line.label,
        "role": line.role,
        "tag": "floor" if line.method_is_floor else "",
        "swatch": look.swatch(line.label) if line.row is not None else "",
        "judges": line.judges,
        "reason": line.reason,
        "cells": cells,
    }


def _caption(found: Segmentation, line: Line) -> str:
    """The IoU with labels, as the table has it."""
    column = next((c for c in found.columns if (c.metric, c.reference) == ("iou", Reference.LABELS)), None)
    text = line.cells[column.key].text(column) if column is not None else ""
    return f"IoU {text}" if text else ""
