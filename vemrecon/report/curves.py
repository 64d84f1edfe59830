"""Fourier shell correlation curves as inline SVG, axial and lateral side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from vemrecon.errors import DataError
from vemrecon.files import finite
from vemrecon.report.frame import Frame, resolution_axis, style_of, svg_text, tick_labels, ticks
from vemrecon.report.leaderboard import Table
from vemrecon.report.panel import Fragment, Look

FLOOR = -0.05
"""Correlations of noise scatter around zero; nothing is learnt from how far below."""


@dataclass(frozen=True)
class Curve:
    """Correlation against frequency in one direction; missing shells are None."""

    frequency: tuple[float, ...]
    """In 1/nm, rising."""
    value: tuple[float | None, ...]


@dataclass(frozen=True)
class Curves:
    """Axial and lateral curve of one row."""

    label: str
    index: int
    """Colour and dash of the method."""
    axial: Curve | None
    lateral: Curve | None


def correlation_panel(table: Table, look: Look) -> Fragment | None:
    """Correlation along the degraded axis and along the others, side by side."""
    axis, lateral = table.task.axis, table.task.kind == "lateral"
    rows, warnings = [], []
    for row in look.drawn(table):
        try:
            rows.append(Curves(row.label, look.indices[row.label], *curves_of(row.kept.curves, axis)))
        except DataError as error:
            warnings.append(f"{table.title}, {row.label}: {error}")
    what = f"Fourier {'ring' if lateral else 'shell'} correlation"
    others = "x" if lateral else "mean of " + " and ".join(a for a in "yxz" if a != axis)
    limit = _section_limit(table)
    figures = []
    for part, title in (("axial", f"Axial ({axis})"), ("lateral", f"Lateral ({others})")):
        svg = curves_svg(rows, part, title, limit if part == "axial" else None, what)
        if svg:
            note = f"dotted: what the sections can hold, {limit:g} nm" if limit and part == "axial" else what
            figures.append(look.figure(title, svg, note, curves_data(rows, part)))
    if not figures:
        return Fragment("", "Curves", small=True, warnings=tuple(warnings)) if warnings else None
    return Fragment("".join(figures), "Curves", small=True, warnings=tuple(warnings))


def _section_limit(table: Table) -> float | None:
    """Twice the distance of the observed sections: what is finer must come from prior knowledge."""
    if table.voxel_size is None:
        return None
    return round(2 * table.task.scale * table.voxel_size[table.task.axis_number], 3)


def curves_of(curves: Mapping[str, Any], axis: str, name: str = "all") -> tuple[Curve | None, Curve | None]:
    """Axial curve and mean of the lateral ones, of one scored range: of shells, or of rings where only sections are
    scored.

    Raises:
        DataError: If the file is damaged.
    """
    try:
        found = (curves.get("fsc") or curves["frc"])[name]
    except (KeyError, TypeError):
        return None, None
    if not isinstance(found, Mapping):
        raise DataError("curves: the correlation is not a mapping of directions")
    lateral = [_curve(found.get(other)) for other in "zyx" if other != axis]
    return _curve(found.get(axis)), _mean([curve for curve in lateral if curve])


def _curve(data: Any) -> Curve | None:
    if not isinstance(data, Mapping) or not all(isinstance(data.get(key), list) for key in ("frequency", "value")):
        return None
    pairs = [(finite(f), finite(v)) for f, v in zip(data["frequency"], data["value"], strict=False)]
    known = sorted(((f, v) for f, v in pairs if f is not None and f > 0), key=lambda pair: pair[0])
    return Curve(tuple(f for f, _ in known), tuple(v for _, v in known)) if known else None


def _mean(curves: Sequence[Curve]) -> Curve | None:
    """Mean over directions where all of them have a value, on shells that all of them share."""
    if not curves or any(curve.frequency != curves[0].frequency for curve in curves):
        return curves[0] if curves else None
    values = []
    for shell in zip(*(curve.value for curve in curves), strict=True):
        known = [v for v in shell if v is not None]
        values.append(sum(known) / len(known) if len(known) == len(shell) else None)
    return Curve(curves[0].frequency, tuple(values))


def curves_svg(rows: Sequence[Curves], part: str, title: str, limit_nm: float | None, what: str) -> str:
    """One chart of `what` correlation; `part` is axial or lateral, `limit_nm` the period that observed sections hold.

    Returns:
        An SVG element, or an empty text if no row has such a curve.
    """
    known = [(row, curve) for row in rows if (curve := getattr(row, part))]
    if not known:
        return ""
    frame = Frame((0.0, max(curve.frequency[-1] for _, curve in known)), (FLOOR, 1.0))
    left, top, right, bottom = frame.box
    parts = [
        frame.axes(tick_labels(ticks(*frame.x)), tick_labels(ticks(0, 1)), "spatial frequency (1/nm)", "correlation")
    ]
    parts += resolution_axis(frame)
    if limit_nm and 1 / limit_nm < frame.x[1]:
        at = frame.px(1 / limit_nm)
        parts.append(f'<path class="limit" d="M{at} {top}V{bottom}"/>')
    parts.append(f'<path class="threshold" d="M{left} {frame.py(0.5)}H{right}"/>')
    for row, curve in known:
        path = frame.path(curve.frequency, curve.value)
        parts.append(f'<path {style_of(row.index)} d="{path}"><title>{escape(row.label)}</title></path>')
    parts.append(svg_text(right - 5, frame.py(0.5) - 5, "0.5", "note", "end"))
    parts.append(f'<path class="cursor" d="M0 {top}V{bottom}" visibility="hidden"/>')
    label = f"{what}, {title}, of {', '.join(row.label for row, _ in known)}"
    return (
        f'<svg class="chart" viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{escape(label)}" '
        f'data-box="{left:g} {right:g}" data-range="{frame.x[0]:g} {frame.x[1]!r}">{"".join(parts)}</svg>'
    )


def curves_data(rows: Sequence[Curves], part: str) -> list[dict[str, Any]]:
    """What the pointer reads from a chart, rounded to what can be seen."""
    return [
        {
            "label": row.label,
            "f": [float(f"{f:.5g}") for f in curve.frequency],
            "v": [None if v is None else round(v, 3) for v in curve.value],
        }
        for row in rows
        if (curve := getattr(row, part))
    ]
