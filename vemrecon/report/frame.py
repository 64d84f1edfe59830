"""`Frame`: the plotting area of an SVG chart, with its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

DASHES = ("", "8 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2 1 2")
COLOURS = 10
MARKERS = (
    "M-4.5 0A4.5 4.5 0 1 0 4.5 0A4.5 4.5 0 1 0 -4.5 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5.4L5 4H-5Z",
    "M0 -5.6L5 0L0 5.6L-5 0Z",
    "M-1.6 -5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
    "M0 5.4L5 -4H-5Z",
)
"""Dashes and markers repeat with other periods than the colours, so that neighbours differ in greyscale too."""


@dataclass(frozen=True)
class Frame:
    """Maps values to pixels of a chart of `width` x `height`."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 520
    height: int = 330
    margin: tuple[int, int, int, int] = (44, 16, 46, 54)
    """Top, right, bottom, left."""
    log_x: bool = False

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the plotting area."""
        top, right, bottom, left = self.margin
        return left, top, self.width - right, self.height - bottom

    def px(self, x: float) -> float:
        """Pixel of a value on the horizontal axis."""
        left, _, right, _ = self.box
        low, high, value = (math.log10(v) for v in (*self.x, x)) if self.log_x else (*self.x, x)
        return round(left + (right - left) * (value - low) / (high - low), 2)

    def py(self, y: float) -> float:
        """Pixel of a value on the vertical axis."""
        _, top, _, bottom = self.box
        return round(bottom - (bottom - top) * (y - self.y[0]) / (self.y[1] - self.y[0]), 2)

    def path(self, xs: Sequence[float], ys: Sequence[float | None]) -> str:
        """Path data of a curve, interrupted where a value is missing."""
        parts, pen = [], "M"
        for x, y in zip(xs, ys, strict=False):
            if y is None:
                pen = "M"
                continue
            parts.append(f"{pen}{self.px(x):g} {self.py(min(max(y, self.y[0]), self.y[1])):g}")
            pen = "L"
        return "".join(parts)

    def axes(self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x: str, y: str) -> str:
        """Grid, ticks and axis titles."""
        left, top, right, bottom = self.box
        parts = [f'<rect class="plot" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>']
        for value, label in x_ticks:
            at = self.px(value)
            parts.append(f'<path class="grid" d="M{at} {top}V{bottom}"/>')
            parts.append(svg_text(at, bottom + 16, label, "tick", "middle"))
        for value, label in y_ticks:
            at = self.py(value)
            parts.append(f'<path class="grid" d="M{left} {at}H{right}"/>')
            parts.append(svg_text(left - 7, at + 3.5, label, "tick", "end"))
        parts.append(svg_text((left + right) / 2, self.height - 8, x, "axis", "middle"))
        turned = f'transform="translate(13 {(top + bottom) / 2:g}) rotate(-90)"'
        parts.append(f'<text class="axis" text-anchor="middle" {turned}>{escape(y)}</text>')
        return "".join(parts)


def svg_text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    """A line of text."""
    return f'<text class="{style}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values between two limits, about `count` of them.

    >>> ticks(0, 0.05)
    [0.0, 0.01, 0.02, 0.03, 0.04, 0.05]
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs((high - low) / s - count))
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_labels(values: Sequence[float]) -> list[tuple[float, str]]:
    """Values with the shortest text of each."""
    return [(value, f"{value:g}") for value in values]


def resolution_axis(frame: Frame) -> list[str]:
    """Top axis of a chart over spatial frequency in 1/nm: round resolutions in nm that keep their distance."""
    left, top, right, _ = frame.box
    parts = [svg_text((left + right) / 2, 14, "resolution (nm)", "axis", "middle")]
    last = right + 100.0
    for period in sorted(m * 10.0**p for p in range(-1, 4) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        at = frame.px(1 / period)
        if left + 12 <= at <= right and last - at >= 38:
            parts.append(f'<path class="rule" d="M{at} {top}v-4"/>')
            parts.append(svg_text(at, top - 8, f"{period:g}", "tick", "middle"))
            last = at
    return parts


def style_of(index: int) -> str:
    """Class and dash pattern of the curve of a method."""
    dash = DASHES[index % len(DASHES)]
    return f'class="line m{index % COLOURS}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def marker(index: int, x: float, y: float, title: str) -> str:
    """Point of a method, with its name as a tooltip."""
    shape = MARKERS[index % len(MARKERS)]
    place = f'transform="translate({x:g} {y:g})"'
    return f'<path class="mark m{index % COLOURS}" d="{shape}" {place}><title>{escape(title)}</title></path>'


def swatch(index: int) -> str:
    """Line and marker of a method for legends; decorative, the name stands beside it."""
    shape = MARKERS[index % len(MARKERS)]
    return (
        '<svg class="swatch" width="34" height="12" viewBox="0 0 34 12" aria-hidden="true">'
        f'<path {style_of(index)} d="M0 6H34"/>'
        f'<path class="mark m{index % COLOURS}" d="{shape}" transform="translate(17 6) scale(.8)"/></svg>'
    )
