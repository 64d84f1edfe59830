"""Axial continuity and layering: the measures of the metric `axial`, in a table of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vemrecon.report.columns import ARROWS, LOW, ONE, ZERO, Column
from vemrecon.report.frame import swatch
from vemrecon.report.leaderboard import MAIN_RANGE, Table


def layering_columns(axis: str) -> tuple[Column, ...]:
    """What the table shows, for a degraded axis. Source: metrics.md, section 4; the scores of the metric `axial`."""

    def column(label: str, variant: str, plane: str, better: str, style: str, words: str, unit: str = "") -> Column:
        key = f"axial/{variant}/{plane}"  # as the cells of a row have it
        return Column(key, "Axial", label, unit, better, style, "axial", variant, plane, help=words)

    return (
        column("mean |e|", "slice_mae", axis, LOW, "2", "mean absolute error of a section", "grey"),
        column("|mean e|", "slice_error", axis, LOW, "2",
               "size of the mean error of a section, mean over sections: too bright or too dark as a whole", "grey"),
        column("worst |mean e|", "slice_error_max", axis, LOW, "2", "the same of the worst section", "grey"),
        column("periodic error", "periodic_error", axis, "", "3",
               "fraction of the changes of the error along the axis that repeats with the recorded sections"),
        column("layer contrast", "layer_contrast", axis, ZERO, "3",
               "steps at the borders of recorded sections against those inside, minus the same of the truth"),
        *(column(f"continuity {name}", "continuity", name, ONE, "3",
                 f"mean step between voxels along {name} over that of the truth; below 1: too smooth")
          for name in "zyx"),
    )  # fmt: skip


def layering(table: Table, indices: Mapping[str, int]) -> dict[str, Any]:
    """Heads and rows of the table; no rows where the metric was not asked for.

    A column shows up as soon as one run has its value.
    """
    import markupsafe

    known = {column.key for column in table.columns}
    columns = [column for column in layering_columns(str(table.task["axis"])) if column.key in known]
    rows = []
    for row in table.done if columns else ():
        cells = [(column, row.cells[MAIN_RANGE][column.key]) for column in columns]
        shown = [(cell.text(column), cell.spread(column), "; ".join(cell.notes)) for column, cell in cells]
        rows.append({"label": row.label, "swatch": markupsafe.Markup(swatch(indices[row.label])), "cells": shown})
    return {"heads": [(column, ARROWS[column.better]) for column in columns], "rows": rows}
