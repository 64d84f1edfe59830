"""`Gallery`: pictures of what was found in each reconstruction, one row per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.report.leaderboard import Table
from vemrecon.report.overlay import (
    Masks,
    file_of,
    instance_colours,
    instances_png,
    load_masks,
    neuron_colours,
    overlay_png,
)
from vemrecon.report.pictures import centre, length_text, scale_bar
from vemrecon.report.row import Row
from vemrecon.report.segmentation_table import CEILING_LABEL, Segmentation
from vemrecon.report.viewer import address_of
from vemrecon.volume.planes import AXES, NORMALS, PLANE_AXES

SHOWN = ("xy", "xz")
"""Planes of the pictures: within recorded sections and across them."""
LARGEST = 256
"""Voxels along a side: half the pictures of the section viewer in size, because there are up to twice as many."""
TARGET = 240
"""Pixels on the page that a picture should be wide; small ones are enlarged by whole numbers only."""


@dataclass(frozen=True)
class Shot:
    """One picture."""

    alt: str
    source: str
    """PNG as a data address."""
    caption: str
    width: int
    height: int
    """Pixels on the page."""
    bar: tuple[float, str] | None
    """Scale bar: percent of the width, and length."""


@dataclass(frozen=True)
class Gallery:
    """Rows of pictures, that of the ceiling first."""

    rows: tuple[tuple[str, tuple[Shot, ...]], ...] = ()
    """Labels as in the table, and pictures."""
    neurons: bool = False
    """Whether there are pictures of neurons."""
    note: str = ""
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def build_gallery(table: Table, segmentation: Segmentation, rows: Sequence[Row]) -> Gallery:
    """Read what the first run of each of these rows has kept, and make the pictures."""
    wanted = {row.label for row in rows}
    found: list[tuple[Row, Masks]] = []
    missing, warnings = [], []
    for row in (line.row for line in segmentation.lines if line.label in wanted and not line.reason):
        if row is None:
            continue
        path = file_of(row.runs[0][0], segmentation.what)
        if path is None:
            missing.append(row.label)
            continue
        try:
            masks = load_masks(path)
        except DataError as error:
            warnings.append(f"{table.title}, {row.label}: {error}")
            continue
        if found and not _same_place(found[0][1], masks):
            warnings.append(f"{table.title}, {row.label}: {path.name} shows another place or other labels; not drawn")
            continue
        found.append((row, masks))
    if not found:
        return Gallery(missing=tuple(missing), warnings=tuple(warnings))
    first = found[0][1]
    known = neuron_colours(first.sections.get("neurons", {}))
    drawn = [] if not segmentation.fair else [(CEILING_LABEL, _ceiling(first, segmentation.what, known))]
    drawn += [(row.label, _method(masks, row.label, segmentation.what, known)) for row, masks in found]
    shape = first.sections["labels"]["xy"].shape
    cut = f"The middle {LARGEST} voxels of sections that are larger." if max(shape) > LARGEST else ""
    return Gallery(tuple(drawn), bool(known), cut, tuple(missing), tuple(warnings))


def _same_place(first: Masks, second: Masks) -> bool:
    if (first.origin, first.middle) != (second.origin, second.middle):
        return False
    pairs = [(first.sections.get(name, {}), second.sections.get(name, {})) for name in ("labels", "neurons")]
    return all(a.keys() == b.keys() and all(np.array_equal(a[plane], b[plane]) for plane in a) for a, b in pairs)


def _ceiling(masks: Masks, what: str, known: Mapping[int, int]) -> tuple[Shot, ...]:
    """What is found in the truth, and the labelled neurons."""
    shots = []
    for plane in SHOWN:
        cut = _cut(masks, plane)
        png = overlay_png(cut["truth"], cut["labels"], cut["truth_grey"])
        shots.append(_shot(masks, plane, png, f"{what} found in the truth", cut))
    for plane in SHOWN if known else ():
        cut = _cut(masks, plane)
        shots.append(
            _shot(masks, plane, instances_png(cut["neurons"], known, cut["truth_grey"]), "labelled neurons", cut)
        )
    return tuple(shots)


def _method(masks: Masks, label: str, what: str, known: Mapping[int, int]) -> tuple[Shot, ...]:
    shots = []
    for plane in SHOWN:
        cut = _cut(masks, plane)
        png = overlay_png(cut["found"], cut["labels"], cut["grey"])
        shots.append(_shot(masks, plane, png, f"{what} found in {label}", cut))
    if known and "instances" in masks.sections:
        colours = instance_colours(masks.sections["instances"], masks.sections["neurons"], known)
        for plane in SHOWN:
            cut = _cut(masks, plane)
            png = instances_png(cut["instances"], colours, cut["grey"])
            shots.append(_shot(masks, plane, png, f"neurons found in {label}", cut))
    return tuple(shots)


def _cut(masks: Masks, plane: str) -> dict[str, NDArray[Any]]:
    """The middle of the sections of a plane."""
    return {name: centre(section, LARGEST) for name, section in masks.plane(plane).items()}


def _shot(masks: Masks, plane: str, png: bytes, words: str, cut: Mapping[str, NDArray[Any]]) -> Shot:
    rows, columns = cut["labels"].shape
    axis = AXES[NORMALS[plane]]
    at = f"{plane}, {axis} = {masks.middle['zyx'.index(axis)]}"
    caption = f"{words.partition(' found in ')[0]}, {at}"
    size = dict(zip("zyx", masks.voxel_size or (1.0, 1.0, 1.0), strict=True))
    tall, wide = (size[a] for a in PLANE_AXES[plane])
    zoom = max(1, TARGET // columns)
    height = round(rows * zoom * tall / wide)
    return Shot(f"{words}, {at}", address_of(png), caption, columns * zoom, height, _bar(masks, columns * wide))


def _bar(masks: Masks, width_nm: float) -> tuple[float, str] | None:
    if masks.voxel_size is None:
        return None
    length = scale_bar(width_nm)
    return round(100 * length / width_nm, 3), length_text(length)
