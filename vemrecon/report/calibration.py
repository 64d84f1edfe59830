"""Uncertainty against error as inline SVG: does a method know where it errs?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.files import read_json
from vemrecon.report.frame import Frame, marker, style_of, svg_text, ticks
from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.load import artifact, number

GAUSSIAN = math.sqrt(2 / math.pi)  # mean absolute error over standard deviation of Gaussian errors
EXPECTED = "error of a Gaussian of this width"


def calibration_svg(table: Table, indices: Mapping[str, int]) -> str:
    """Mean absolute error of voxels of like uncertainty; empty where no row has an uncertainty and a truth."""
    curves = []
    for row in table.done:
        path = artifact(*row.runs[0], "curves")
        points = calibration_points(path) if path else []
        if points:
            curves.append((row.label, points))
    if not curves:
        return ""
    widest = max(spread for _, points in curves for spread, _ in points) * 1.05 or 1.0
    highest = max(error for _, points in curves for _, error in points) * 1.05 or 1.0
    frame = Frame((0.0, widest), (0.0, highest), margin=(20, 16, 46, 54))
    left, _, right, bottom = frame.box
    labels = [[(value, f"{value:g}") for value in ticks(*limits)] for limits in (frame.x, frame.y)]
    parts = [frame.axes(labels[0], labels[1], "uncertainty (grey levels)", "mean absolute error (grey levels)")]
    end = min(widest, highest / GAUSSIAN)
    line = f"M{left:g} {bottom:g}L{frame.px(end):g} {frame.py(GAUSSIAN * end):g}"
    parts.append(f'<path class="threshold" d="{line}"><title>{EXPECTED}</title></path>')
    parts.append(svg_text(right - 5, bottom - 6, f"dashed: {EXPECTED}", "note", "end"))
    for label, points in curves:
        xs, ys = zip(*points, strict=True)
        name = escape(label)
        parts.append(f'<path {style_of(indices[label])} d="{frame.path(xs, ys)}"><title>{name}</title></path>')
        parts += (marker(indices[label], frame.px(x), frame.py(y), f"{label}: {x:.3g}, {y:.3g}") for x, y in points)
    words = escape(f"Error against uncertainty of {', '.join(label for label, _ in curves)}")
    size = f"0 0 {frame.width} {frame.height}"
    return f'<svg class="chart" viewBox="{size}" role="img" aria-label="{words}">{"".join(parts)}</svg>'


def calibration_points(path: Path) -> list[tuple[float, float]]:
    """(uncertainty, mean absolute error) in grey levels, rising; none if the file holds nothing of the kind."""
    try:
        found: Any = read_json(path)["uncertainty"][MAIN_RANGE]
        pairs = zip(found["uncertainty"], found["error"], strict=True)
        known = [(number(spread), number(error)) for spread, error in pairs]
        return [(s, e) for s, e in known if s is not None and e is not None and s >= 0 and e >= 0]
    except (DataError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return []  # the page already says when curves.json cannot be read
