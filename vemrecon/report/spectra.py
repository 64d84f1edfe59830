"""Spectral power as inline SVG: which frequencies a method recovers, which it invents, and which it loses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from vemrecon.files import finite
from vemrecon.report.frame import Frame, resolution_axis, style_of, svg_text, tick_labels, ticks
from vemrecon.report.leaderboard import MAIN_RANGE, Table
from vemrecon.report.panel import Fragment, Look

PARTS = ("truth", "reconstruction", "error")
FAINTEST = 20.0
"""dB below the faintest power of the truth at which charts end: a band that is lost has no power worth drawing."""
TITLES = {"reconstruction": "Power", "error": "Power of the error"}
NOTES = {
    "reconstruction": "grey band: truth; below it, detail is lost, above it, invented",
    "error": "grey band: truth; below it, detail is recovered, at it, lost, above it, invented",
}


@dataclass(frozen=True)
class Spectrum:
    """Power of one row along one direction, in dB of squared grey levels; missing shells are None."""

    label: str
    index: int
    """Colour and dash of the method."""
    frequency: tuple[float, ...]
    """In 1/nm, rising."""
    truth: tuple[float | None, ...]
    reconstruction: tuple[float | None, ...]
    error: tuple[float | None, ...]


def spectrum_panel(table: Table, look: Look) -> Fragment | None:
    """Power of truth and reconstruction, and of truth and error, along the degraded axis and along the others."""
    figures = []
    for words, directions in directions_of(table.task.axis, table.task.kind).items():
        found = (
            spectrum_of(row.kept.curves, directions, row.label, look.indices[row.label]) for row in look.drawn(table)
        )
        rows = [spectrum for spectrum in found if spectrum]
        for part, title in TITLES.items() if rows else ():
            figures.append(look.figure(f"{title}, {words}", _svg(rows, part, words), NOTES[part], _data(rows, part)))
    return Fragment("".join(figures), "Curves", small=True) if figures else None


def directions_of(axis: str, kind: str = "reference") -> dict[str, tuple[str, ...]]:
    """Directions by what they are called: the degraded axis alone, and the others, of which the mean is shown.

    Args:
        axis: The degraded one.
        kind: Of the task.

    >>> directions_of("z")
    {'axial (z)': ('z',), 'lateral (y, x)': ('y', 'x')}
    """
    lateral = tuple(other for other in ("yx" if kind == "lateral" else "zyx") if other != axis)
    return {f"axial ({axis})": (axis,), f"lateral ({', '.join(lateral)})": lateral}


def spectrum_of(curves: Mapping[str, Any], directions: Sequence[str], label: str, index: int) -> Spectrum | None:
    """Mean over directions of what a run's curves hold; None if that is nothing, or damaged."""
    try:
        found = [curves["power"][MAIN_RANGE][direction] for direction in directions]
        frequency = tuple(float(f) for f in found[0]["frequency"])
        if min(frequency, default=0.0) <= 0 or any(tuple(map(float, one["frequency"])) != frequency for one in found):
            return None
        parts = {part: _decibels([[finite(v) for v in one[part]] for one in found]) for part in PARTS}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    known = all(len(values) == len(frequency) for values in parts.values())
    return Spectrum(label, index, frequency, **parts) if known and any(v is not None for v in parts["truth"]) else None


def _decibels(directions: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
    """Of the mean power of directions, where all of them have one; an error of nothing has none."""
    found: list[float | None] = []
    for shell in zip(*directions, strict=True):
        known = [power for power in shell if power is not None]
        mean = sum(known) / len(known) if len(known) == len(shell) else 0.0
        found.append(10 * math.log10(mean) if mean > 0 else None)
    return tuple(found)


def _svg(rows: Sequence[Spectrum], part: str, words: str) -> str:
    truth = [v for row in rows for v in row.truth if v is not None]
    high = max([*truth, *(v for row in rows for v in getattr(row, part) if v is not None)])
    frame = Frame((0.0, max(row.frequency[-1] for row in rows)), (min(truth) - FAINTEST, high + 2))
    left, top, right, bottom = frame.box
    labels = [tick_labels(ticks(*limits)) for limits in (frame.x, frame.y)]
    parts = [frame.axes(labels[0], labels[1], "spatial frequency (1/nm)", "power (dB of grey levels²)")]
    parts += resolution_axis(frame)
    parts.append(f'<path class="truth" d="{frame.path(rows[0].frequency, rows[0].truth)}"><title>truth</title></path>')
    for row in rows:
        drawn = [v if v is not None and v >= frame.y[0] else None for v in getattr(row, part)]
        path, name = frame.path(row.frequency, drawn), escape(row.label)
        parts.append(f'<path {style_of(row.index)} d="{path}"><title>{name}</title></path>')
    parts.append(svg_text(right - 5, top + 14, "truth: grey band", "note", "end"))
    parts.append(f'<path class="cursor" d="M0 {top}V{bottom}" visibility="hidden"/>')
    label = escape(f"{TITLES[part]}, {words}, of truth, {', '.join(row.label for row in rows)}")
    return (
        f'<svg class="chart" viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{label}" '
        f'data-box="{left:g} {right:g}" data-range="{frame.x[0]:g} {frame.x[1]!r}">{"".join(parts)}</svg>'
    )


def _data(rows: Sequence[Spectrum], part: str) -> list[dict[str, Any]]:
    """What the pointer reads from a chart, rounded to what can be seen."""
    curves = [("truth", rows[0].frequency, rows[0].truth)]
    curves += [(row.label, row.frequency, getattr(row, part)) for row in rows]
    return [
        {
            "label": label,
            "f": [float(f"{f:.5g}") for f in frequency],
            "v": [None if v is None else round(v, 2) for v in values],
        }
        for label, frequency, values in curves
    ]
