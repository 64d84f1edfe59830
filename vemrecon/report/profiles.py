"""Error along the degraded axis as inline SVG: where between recorded sections does a method err?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from vemrecon.files import finite
from vemrecon.report.frame import Frame, style_of, svg_text, ticks
from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.panel import Fragment, Look

LONGEST = 160
"""Sections in one chart: with more of them the teeth of a profile run into each other."""

PARTS = {"mae": "mean |e| (grey levels)", "error": "mean e (grey levels)"}
"""Curves per section, by the names that they have in curves.json, and the title of the vertical axis."""


@dataclass(frozen=True)
class Profile:
    """Errors of one row, section by section; missing values are None."""

    label: str
    index: int
    """Colour and dash of the method."""
    first: int
    """Position of the first section, in voxels of the truth along the degraded axis."""
    mae: tuple[float | None, ...]
    """Mean absolute error, in grey levels."""
    error: tuple[float | None, ...]
    """Mean of reconstruction minus truth, in grey levels."""

    @property
    def stop(self) -> int:
        """One past the position of the last section."""
        return self.first + len(self.mae)

    def between(self, first: int, stop: int) -> Profile:
        """The sections at positions [first, stop)."""
        a, b = max(0, first - self.first), max(0, stop - self.first)
        return Profile(self.label, self.index, max(first, self.first), self.mae[a:b], self.error[a:b])


def profile_of(curves: Mapping[str, Any], label: str, index: int) -> Profile | None:
    """The profile in a run's curves; None if the file holds none."""
    try:
        found: Any = curves["slices"][MAIN_RANGE]
        mae, error = (tuple(finite(value) for value in found[part]) for part in ("mae", "error"))
        first = int(found["first"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    known = len(mae) == len(error) > 1 and any(value is not None for value in mae)
    return Profile(label, index, first, mae, error) if known else None


def profiles_panel(table: Table, look: Look) -> Fragment | None:
    """Absolute and signed error of every row against the position along the degraded axis."""
    found = (profile_of(row.kept.curves, row.label, look.indices[row.label]) for row in look.drawn(table))
    profiles = [profile for profile in found if profile]
    if not profiles:
        return None
    axis = table.task.axis
    first, stop, whole = _window(profiles)
    shown = [profile for p in profiles if len((profile := p.between(first, stop)).mae) > 1]
    cut = f"the middle {stop - first} of {whole} voxels" if stop - first < whole else ""
    teeth = "recorded sections that a method keeps have no error" if table.grid and table.grid.thin else ""
    charts = (
        ("mae", f"Absolute error along {axis}", "; ".join(text for text in (cut, teeth) if text)),
        ("error", f"Signed error along {axis}", "reconstruction minus truth; above zero: too bright"),
    )
    figures = [
        look.figure(title, _svg(shown, part, axis), note, _data(shown, part), wide=True) for part, title, note in charts
    ]
    return Fragment("".join(figures), f"Along the degraded axis ({axis})")


def _window(profiles: Sequence[Profile]) -> tuple[int, int, int]:
    """First position and one past the last that are drawn, and how many sections there are."""
    first, stop = min(p.first for p in profiles), max(p.stop for p in profiles)
    whole = stop - first
    first += max(0, (whole - LONGEST) // 2)
    return first, min(stop, first + LONGEST), whole


def _svg(profiles: Sequence[Profile], part: str, axis: str) -> str:
    values = [value for p in profiles for value in getattr(p, part) if value is not None]
    low, high = (0.0, max(values)) if part == "mae" else (-max(map(abs, values)), max(map(abs, values)))
    high = high * 1.05 or 1.0  # profiles of a perfect reconstruction are flat, not impossible to draw
    low = 0.0 if part == "mae" else -high
    positions = float(min(p.first for p in profiles)), float(max(p.stop for p in profiles) - 1)
    frame = Frame(positions, (low, high), width=1080, height=280, margin=(14, 16, 46, 54))
    left, top, right, bottom = frame.box
    labels = [[(v, f"{v:g}") for v in ticks(*limits, n)] for limits, n in ((frame.x, 12), (frame.y, 5))]
    parts = [frame.axes(labels[0], labels[1], f"{axis} (voxels)", PARTS[part])]
    if part == "error":
        parts.append(f'<path class="threshold" d="M{left:g} {frame.py(0)}H{right:g}"/>')
    for profile in profiles:
        path = frame.path([profile.first + n for n in range(len(profile.mae))], getattr(profile, part))
        name = escape(profile.label)
        parts.append(f'<path {style_of(profile.index)} d="{path}"><title>{name}</title></path>')
    if part == "error":
        parts.append(svg_text(right - 5, frame.py(0) - 5, "0", "note", "end"))
    parts.append(f'<path class="cursor" d="M0 {top}V{bottom}" visibility="hidden"/>')
    words = escape(f"{PARTS[part]} along {axis}, of {', '.join(p.label for p in profiles)}")
    return (
        f'<svg class="chart" viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{words}" '
        f'data-box="{left:g} {right:g}" data-range="{frame.x[0]:g} {frame.x[1]:g}" data-axis="{axis}">'
        f"{''.join(parts)}</svg>"
    )


def _data(profiles: Sequence[Profile], part: str) -> list[dict[str, Any]]:
    """What the pointer reads from a chart, rounded to what can be seen."""
    return [
        {
            "label": profile.label,
            "f": [profile.first + n for n in range(len(profile.mae))],
            "v": [None if v is None else round(v, 2) for v in getattr(profile, part)],
        }
        for profile in profiles
    ]
