"""Sections through the whole depth, with a slider: truth and methods at one place, and where that lies along z."""

from __future__ import annotations

from typing import Any

from vemrecon.report.leaderboard import Table
from vemrecon.report.panel import Fragment, Look, script_json
from vemrecon.report.pictures import Section, Sections, grey_png
from vemrecon.report.viewer import address_of
from vemrecon.volume.planes import AXES

METHODS = 4
"""Most methods: each has a picture for every position."""
ALONG = {0: "xz"}
"""Plane in which the coarse axis is seen, by axis."""


def depth_panel(table: Table, look: Look) -> Fragment | None:
    """Truth and the first methods that have pictures, position by position."""
    found: list[tuple[str, Sections]] = []
    for row in look.pictured(table):
        sections = row.kept.sections
        if not sections or "reconstruction" not in sections.stacks or len(found) == METHODS:
            continue
        if not found or sections.depths == found[0][1].depths:
            found.append((row.label, sections))
    if not found:
        return None
    import markupsafe

    first, axis = found[0][1], table.task.axis_number
    frames = {label: _addresses(list(sections.stacks["reconstruction"])) for label, sections in found}
    if "truth" in first.stacks:
        frames = {"Truth": _addresses(list(first.stacks["truth"])), **frames}
    data: dict[str, Any] = {"positions": list(first.depths), "frames": frames}
    along = _along(first, axis, dict(found))
    data |= along
    _, rows, columns = first.stacks["reconstruction"].shape
    html = look.render(
        "depth",
        labels=list(frames),
        axis=AXES[axis],
        last=len(first.depths) - 1,
        middle=len(first.depths) // 2,
        rows=rows,
        columns=columns,
        along=bool(along),
        data=markupsafe.Markup(script_json(data)),
    )
    return Fragment(html)


def _addresses(sections: list[Section]) -> list[str]:
    return [address_of(grey_png(section)) for section in sections]


def _along(first: Sections, axis: int, methods: dict[str, Sections]) -> dict[str, Any]:
    """Pictures of a plane along the coarse axis, and where each position is in it, in percent; empty without one."""
    plane = ALONG.get(axis, "")
    shown = {label: one.pictures["reconstruction"][plane] for label, one in methods.items()
             if plane in one.pictures["reconstruction"]}  # fmt: skip
    if not shown or first.origin is None:
        return {}
    if plane in first.pictures["truth"]:
        shown = {"Truth": first.pictures["truth"][plane], **shown}
    rows = next(iter(shown.values())).shape[0]
    lines = [100 * (z - first.origin[axis] + 0.5) / rows for z in first.depths]
    lines = [round(at, 2) if 0 <= at <= 100 else -1.0 for at in lines]
    return {"along": {label: address_of(grey_png(section)) for label, section in shown.items()}, "lines": lines}
