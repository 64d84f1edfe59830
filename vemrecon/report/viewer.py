"""What the section viewer of the HTML page shows: one set of panels per plane of a task."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vemrecon.report.leaderboard import MAIN_RANGE, TIMES, Table
from vemrecon.report.panel import Fragment, Look
from vemrecon.report.pictures import (
    Section,
    Sections,
    centre,
    error_limit,
    error_png,
    grey_png,
    length_text,
    scale_bar,
    stretch,
)
from vemrecon.report.row import Row
from vemrecon.volume.planes import AXES, NORMALS, PLANE_AXES

TARGET = 280
"""Pixels on the page that a picture should be wide; small ones are enlarged by whole numbers only."""


@dataclass(frozen=True)
class Panel:
    """One picture with what stands below it."""

    role: str
    """truth, observed, reconstruction or error."""
    label: str
    alt: str
    source: str
    """PNG as a data address."""
    caption: str = ""


@dataclass(frozen=True)
class PlaneView:
    """All pictures of one plane, on one grid."""

    plane: str
    where: str
    width: int
    height: int
    """Pixels on the page at magnification 1."""
    voxels: tuple[int, int]
    """Rows and columns of the pictures."""
    width_nm: float | None
    note: str
    references: tuple[Panel, ...]
    methods: tuple[tuple[Panel, Panel | None], ...]
    """Reconstruction and error of each method."""


@dataclass(frozen=True)
class Viewer:
    """Planes with pictures, the common limit of the error colours, and what is missing."""

    planes: tuple[PlaneView, ...] = ()
    limit: int = 0
    voxel_size: tuple[float, float, float] | None = None
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: int = 0
    """Finished rows that were not asked for."""


@dataclass
class _Found:
    rows: list[tuple[Row, Sections]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def viewer_panel(table: Table, look: Look) -> Fragment | None:
    """Sections of truth, observed volume, reconstructions and their errors."""
    viewer = build_viewer(table, look.pictured(table))
    if not viewer.planes:
        return Fragment("", warnings=viewer.warnings) if viewer.warnings else None
    bars = {view.plane: _bar(view.width_nm) for view in viewer.planes}
    return Fragment(look.render("viewer", viewer=viewer, scale_bars=bars), warnings=viewer.warnings)


def _bar(width_nm: float | None) -> dict[str, Any] | None:
    if not width_nm:
        return None
    length = scale_bar(width_nm)
    return {"percent": round(100 * length / width_nm, 3), "label": length_text(length)}


def build_viewer(table: Table, rows: Sequence[Row]) -> Viewer:
    """Read the sections of the first run of each of these rows, and make the pictures."""
    found = _find(table, rows)
    if not found.rows:
        return Viewer(missing=tuple(found.missing), warnings=tuple(found.warnings))
    reference = found.rows[0][1]
    errors: dict[tuple[str, str], npt.NDArray[np.int16]] = {}
    for row, sections in found.rows:
        for plane, section in sections.pictures["reconstruction"].items():
            truth = reference.pictures["truth"].get(plane)
            if truth is not None:
                errors[plane, row.label] = centre(section).astype(np.int16) - centre(truth).astype(np.int16)
    limit = error_limit(list(errors.values())) if errors else 0
    planes = [view for plane in PLANE_AXES if (view := _plane(table, plane, found.rows, errors, limit))]
    left_out = len(table.done) - len(rows)
    return Viewer(tuple(planes), limit, reference.voxel_size, tuple(found.missing), tuple(found.warnings), left_out)


def _find(table: Table, rows: Sequence[Row]) -> _Found:
    found = _Found()
    for row in rows:
        sections = row.kept.sections
        if sections is None:
            if not row.kept.problems:
                found.missing.append(row.label)
            continue
        if not _fits(sections):
            found.warnings.append(f"{table.title}, {row.label}: reconstruction and truth differ in size; not drawn")
            continue
        if found.rows and not _same_truth(found.rows[0][1], sections):
            found.warnings.append(f"{table.title}, {row.label}: its sections show another place or truth; not drawn")
            continue
        found.rows.append((row, sections))
    return found


def _fits(sections: Sections) -> bool:
    truth, made = sections.pictures["truth"], sections.pictures["reconstruction"]
    return all(truth[plane].shape == section.shape for plane, section in made.items() if plane in truth)


def _same_truth(first: Sections, second: Sections) -> bool:
    if first.position != second.position:
        return False
    truths = first.pictures["truth"], second.pictures["truth"]
    return truths[0].keys() == truths[1].keys() and all(np.array_equal(truths[0][p], truths[1][p]) for p in truths[0])


def _plane(
    table: Table, plane: str, rows: Sequence[tuple[Row, Sections]], errors: dict[tuple[str, str], Any], limit: int
) -> PlaneView | None:
    shown = [(row, sections.pictures["reconstruction"][plane]) for row, sections in rows
             if plane in sections.pictures["reconstruction"]]  # fmt: skip
    if not shown:
        return None
    reference = rows[0][1]
    shape = shown[0][1].shape
    truth, observed = (reference.pictures[role].get(plane) for role in ("truth", "observed"))
    where = _where(plane, reference)
    panels, note = [], ""
    if truth is not None:
        panels.append(_panel("truth", "Truth", where, truth))
    if observed is not None:
        wide = stretch(observed, shape, table.grid) if table.grid else observed
        caption = "recorded sections, each repeated" if observed.shape != shape else "nearest recorded section"
        caption = f"{caption} ({_size(observed.shape)} voxels)"
        panels.append(_panel("observed", "Observed", where, wide, caption))
        if truth is not None and np.array_equal(observed, truth):
            note = "This section was recorded as it is: methods that keep recorded sections have no error here."
    methods = []
    for row, section in shown:
        if section.shape != shape:
            continue
        panel = _panel("reconstruction", row.label, where, section, quality(table, row, plane))
        error, below = errors.get((plane, row.label)), None
        if error is not None:
            alt = f"Error of {row.label}, {where}"
            below = Panel("error", row.label, alt, address_of(error_png(error, limit)))
        methods.append((panel, below))
    voxels = centre(shown[0][1]).shape
    if voxels != shape:
        note = f"The middle {_size(voxels)} of {_size(shape)} voxels. {note}".strip()
    size = dict(zip("zyx", reference.voxel_size or (1.0, 1.0, 1.0), strict=True))
    rows_nm, columns_nm = (size[axis] for axis in PLANE_AXES[plane])
    zoom = max(1, TARGET // voxels[1])
    return PlaneView(
        plane=plane,
        where=where,
        width=voxels[1] * zoom,
        height=round(voxels[0] * zoom * rows_nm / columns_nm),
        voxels=(voxels[0], voxels[1]),
        width_nm=voxels[1] * columns_nm if reference.voxel_size else None,
        note=note,
        references=tuple(panels),
        methods=tuple(methods),
    )


def _panel(role: str, label: str, where: str, section: Section, caption: str = "") -> Panel:
    return Panel(role, label, f"{label}, {where}", address_of(grey_png(centre(section))), caption)


def _size(shape: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, shape))


def _where(plane: str, sections: Sections) -> str:
    axis = AXES[NORMALS[plane]]
    if sections.position is None:
        return f"{plane} section"
    at = sections.position["zyx".index(axis)]
    if sections.voxel_size is None:
        return f"{plane} section at {axis} = {at}"
    return f"{plane} section at {axis} = {at} ({length_text(at * sections.voxel_size['zyx'.index(axis)])})"


def quality(table: Table, row: Row, plane: str) -> str:
    """PSNR and SSIM of this plane, as the table has them."""
    words = []
    for key in (f"psnr/{plane}", f"ssim/{plane}"):
        column = next((c for c in table.columns.every if c.key == key), None)
        if column is None:
            continue
        text = row.cells[MAIN_RANGE][key].text(column)
        if text:
            words.append(f"{text} {column.unit}" if column.unit else f"{column.group} {text}")
    return " · ".join(words)


def address_of(png: bytes) -> str:
    """A PNG as an address that a page can show without loading anything."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
