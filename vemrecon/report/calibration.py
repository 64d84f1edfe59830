"""Uncertainty against error as inline SVG: does a method know where it errs?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vemrecon.files import finite
from vemrecon.report.frame import Frame, marker, style_of, svg_text, ticks
from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.row import Row

GAUSSIAN = math.sqrt(2 / math.pi)  # mean absolute error over standard deviation of Gaussian errors
EXPECTED = "error of a Gaussian of this width"


def calibration_panel(table: Table, look: Look) -> Fragment | None:
    """Whether methods know where they err."""
    svg = calibration_svg(look.drawn(table), look.indices)
    note = "voxels in 20 classes of uncertainty"
    return Fragment(look.figure("Uncertainty against error", svg, note), "Curves", small=True) if svg else None


def calibration_svg(rows: Sequence[Row], indices: Mapping[str, int]) -> str:
    """Mean absolute error of voxels of like uncertainty; empty where no row has an uncertainty and a truth."""
    curves = []
    for row in rows:
        points = calibration_points(row.kept.curves)
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


def calibration_points(curves: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(uncertainty, mean absolute error) in grey levels, rising; none if there is nothing of the kind."""
    try:
        found: Any = curves["uncertainty"][MAIN_RANGE]
        pairs = zip(found["uncertainty"], found["error"], strict=True)
        known = [(finite(spread), finite(error)) for spread, error in pairs]
        return [(s, e) for s, e in known if s is not None and e is not None and s >= 0 and e >= 0]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
