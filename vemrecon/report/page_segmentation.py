"""What the HTML page shows of segmentations: a table of scores, who judged, and pictures of what was found."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from vemrecon.report.columns import ARROWS
from vemrecon.report.frame import swatch
from vemrecon.report.gallery import build_gallery
from vemrecon.report.judged import UNFAIR, Line, Segmentation
from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.overlay import CLASSES
from vemrecon.report.segmentation_columns import LABELS, MEASURES, REFERENCES, key_of

DASH = "\N{EN DASH}"


def segmentation_views(table: Table, indices: Mapping[str, int]) -> list[dict[str, Any]]:
    """One section for each thing that was looked for; none where nothing was."""
    return [_view(table, found, indices) for found in table.segmentations]


def _view(table: Table, found: Segmentation, indices: Mapping[str, int]) -> dict[str, Any]:
    gallery = build_gallery(table, found)
    references = [reference for reference, _ in found.columns]
    return {
        "title": found.title,
        "groups": [(REFERENCES[name], len(list(same))) for name, same in itertools.groupby(references)],
        "heads": [
            (MEASURES[column.metric].label, column, ARROWS[column.better], n == 0 or references[n - 1] != reference)
            for n, (reference, column) in enumerate(found.columns)
        ],
        "lines": [_line(table, found, line, indices) for line in found.lines],
        "reasons": list(dict.fromkeys(line.reason for line in found.lines)),
        "judges": found.judges_in_words(),
        "unfair": "" if found.fair else UNFAIR,
        "meanings": found.meanings,
        "gallery": gallery,
        "captions": {line.label: _caption(found, line) for line in found.lines},
        "classes": [(name, f"rgb({' '.join(map(str, colour))})") for name, colour in CLASSES.items()],
        "warnings": gallery.warnings,
    }


def _line(table: Table, found: Segmentation, line: Line, indices: Mapping[str, int]) -> dict[str, Any]:
    import markupsafe

    cells = []
    for number, (reference, column) in enumerate(found.columns):
        cell = line.cells[column.key]
        exact = () if cell.value is None else (f"{cell.value!r} {column.unit}".strip(),)
        cells.append({
            "text": cell.text(column) or DASH,
            "spread": cell.spread(column),
            "title": "; ".join((*exact, *cell.notes)),
            "best": line.row is not None and (MAIN_RANGE, column.key, line.label) in table.best,
            "first": number == 0 or found.columns[number - 1][0] != reference,
        })  # fmt: skip
    return {
        "label": line.label,
        "role": line.role,
        "tag": "floor" if line.method_is_floor else "",
        "swatch": markupsafe.Markup(swatch(indices[line.label])) if line.row is not None else "",
        "judges": line.judges,
        "reason": line.reason,
        "cells": cells,
    }


def _caption(found: Segmentation, line: Line) -> str:
    """The IoU with labels, as the table has it."""
    column = next((c for _, c in found.columns if c.key == key_of("iou", found.what, LABELS)), None)
    text = line.cells[column.key].text(column) if column is not None else ""
    return f"IoU {text}" if text else ""
