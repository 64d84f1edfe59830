"""Cost against quality as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from vemrecon.report.columns import CostColumn, seconds_text
from vemrecon.report.frame import Frame, marker, svg_text, ticks
from vemrecon.report.leaderboard import MAIN_RANGE, Table, environments
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.row import Row

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the chart."""

LETTER = 7.0
"""Width of a letter of a label, in pixels of the chart."""

TIMES = {0.01: "10 ms", 0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36000: "10 h",
         360000: "100 h", 3.6e6: "1000 h"}  # fmt: skip


def cost_panel(table: Table, look: Look) -> Fragment | None:
    """The main score against the time that it takes."""
    svg = scatter_svg(table, look.drawn(table), look.indices)
    note = "different hardware" if len(environments(table)["hardware"]) > 1 else ""
    return Fragment(look.figure("Cost against quality", svg, note), "Curves", small=True) if svg else None


def scatter_svg(table: Table, rows: Sequence[Row], indices: Mapping[str, int]) -> str:
    """The main score against the seconds of training and reconstruction; empty with fewer than two points."""
    points, column = [], table.primary
    if isinstance(column, CostColumn):
        return ""
    for row in rows:
        cells = row.cells[MAIN_RANGE]
        train, reconstruct, quality = (cells[k].value for k in ("cost/train", "cost/reconstruct", column.key))
        if quality is not None and reconstruct is not None and reconstruct > 0:
            points.append((row.label, (train or 0.0) + reconstruct, quality))
    if len(points) < 2:
        return ""
    powers_of_ten = [math.log10(seconds) for _, seconds, _ in points]
    qualities = [quality for _, _, quality in points]
    low, high, bottom, top = min(powers_of_ten), max(powers_of_ten), min(qualities), max(qualities)
    edge = max(0.12 * (top - bottom), 0.05)
    x = (10 ** (math.floor(low * 2 - 0.3) / 2), 10 ** (math.ceil(high * 2 + 1.2) / 2))
    frame = Frame(x, (bottom - edge, top + edge), margin=(20, 16, 46, 54), log_x=True)
    x_ticks = [(seconds, words) for seconds, words in TIMES.items() if x[0] <= seconds <= x[1]]
    y_ticks = [(value, f"{value:g}") for value in ticks(*frame.y)]
    parts = [frame.axes(x_ticks, y_ticks, "training and reconstruction", column.heading)]
    places = {label: (frame.px(seconds), frame.py(quality)) for label, seconds, quality in points}
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places.values()]
    texts = {label: f"{column.text(quality)} {column.unit}".strip() for label, _, quality in points}
    for label, seconds, _ in sorted(points, key=lambda p: (column.better.badness(p[2]), p[1], p[0])):
        parts.append(_label(frame, label, places[label], taken))
        parts.append(
            marker(
                indices[label],
                *places[label],
                f"{label}: {texts[label]}, {seconds_text(seconds)}",
            )
        )
    values = ", ".join(f"{label} {texts[label]} in {seconds_text(seconds)}" for label, seconds, quality in points)
    described = escape(f"Cost against quality: {values}")
    size = f"0 0 {frame.width} {frame.height}"
    return f'<svg class="chart" viewBox="{size}" role="img" aria-label="{described}">{"".join(parts)}</svg>'


def _label(frame: Frame, label: str, at: tuple[float, float], taken: list[Box]) -> str:
    """Name beside a point, at the first place around it where it covers nothing; with a line if that is far away."""
    width = LETTER * len(label)
    left, top, right, bottom = frame.box
    offsets = [(side, rise) for rise in (0, -12, 12, -24, 24, -36, 36, -48, 48) for side in (1, -1)]
    boxes = []
    for side, rise in offsets:
        start = at[0] + 9 if side > 0 else at[0] - 9 - width
        box = (start, at[1] + rise - 6, start + width + 3, at[1] + rise + 6)
        if box[0] >= left and box[2] <= right and box[1] >= top and box[3] <= bottom:
            boxes.append((side, rise, box))
    free = [found for found in boxes if not any(_overlap(found[2], other) for other in taken)]
    side, rise, box = (free or boxes or [(1, 0, (at[0] + 9, at[1] - 6, at[0] + 9 + width, at[1] + 6))])[0]
    taken.append(box)
    name = svg_text(at[0] + 9 * side, at[1] + rise + 4, label, "name", "start" if side > 0 else "end")
    return f'<path class="rule" d="M{at[0]:g} {at[1]:g}l{8 * side} {rise}"/>{name}' if abs(rise) > 12 else name


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
