"""Learning curves as inline SVG: validation PSNR during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vemrecon.files import finite
from vemrecon.report.frame import Frame, style_of, ticks
from vemrecon.report.leaderboard import Table
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.row import Row

QUANTITY = "validation psnr"


def learning_panel(table: Table, look: Look) -> Fragment | None:
    """How training went."""
    svg = learning_svg(look.drawn(table), look.indices)
    note = "each method watches patches of its own kind"
    return Fragment(look.figure("Learning curves", svg, note), "Curves", small=True) if svg else None


def learning_svg(rows: Sequence[Row], indices: Mapping[str, int]) -> str:
    """PSNR on held-out lateral patches against the number of batches; empty where nothing was learned."""
    curves = []
    for row in rows:
        points = learning_points(row.kept.curves)
        if len(points) > 1:
            curves.append((row.label, points))
    if not curves:
        return ""
    last = max(points[-1][0] for _, points in curves)
    values = sorted(value for _, points in curves for _, value in points)
    edge = max(0.05, 0.05 * (values[-1] - values[0]))
    frame = Frame((0.0, last), (values[0] - edge, values[-1] + edge), margin=(20, 16, 46, 54))
    labels = [[(value, f"{value:g}") for value in ticks(*limits)] for limits in (frame.x, frame.y)]
    parts = [frame.axes(labels[0], labels[1], "batches", "PSNR of held-out lateral patches (dB)")]
    for label, points in curves:
        line = frame.path([x for x, _ in points], [y for _, y in points])
        parts.append(f'<path {style_of(indices[label])} d="{line}"><title>{escape(label)}</title></path>')
    words = escape(f"Learning curves of {', '.join(label for label, _ in curves)}")
    size = f"0 0 {frame.width} {frame.height}"
    return f'<svg class="chart" viewBox="{size}" role="img" aria-label="{words}">{"".join(parts)}</svg>'


def learning_points(curves: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(batch, PSNR) of the last stage that has been watched; none if there is nothing of the kind."""
    try:
        stages: Any = curves.get("training", {})
        watched = [stage[QUANTITY] for _, stage in sorted(stages.items()) if QUANTITY in stage]
        pairs = zip(watched[-1]["batch"], watched[-1]["value"], strict=True) if watched else []
        known = [(finite(b), finite(v)) for b, v in pairs]
        return [(b, v) for b, v in known if b is not None and v is not None]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
