"""Learning curves as inline SVG: validation PSNR during training."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.files import read_json
from vemrecon.report.frame import Frame, style_of, ticks
from vemrecon.report.leaderboard import Table
from vemrecon.report.load import artifact, number

QUANTITY = "validation psnr"


def learning_svg(table: Table, indices: Mapping[str, int]) -> str:
    """PSNR on held-out lateral patches against the number of batches; empty where nothing was learned."""
    curves = []
    for row in table.done:
        path = artifact(*row.runs[0], "curves")
        points = learning_points(path) if path else []
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


def learning_points(path: Path) -> list[tuple[float, float]]:
    """(batch, PSNR) of the last stage that has been watched; none if the file holds nothing of the kind."""
    try:
        stages: Any = read_json(path).get("training", {})
        watched = [stage[QUANTITY] for _, stage in sorted(stages.items()) if QUANTITY in stage]
        pairs = zip(watched[-1]["batch"], watched[-1]["value"], strict=True) if watched else []
        known = [(number(b), number(v)) for b, v in pairs]
        return [(b, v) for b, v in known if b is not None and v is not None]
    except (DataError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return []  # the page already says when curves.json cannot be read
