"""Volumes in NRRD files, with the voxels attached or in a file beside.

Source: "Definition of NRRD File Format" of the Teem project.
"""

from __future__ import annotations

import bz2
import gzip
import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.frame import Frame, placed
from vemrecon.volume.inflate import NOTE, inflated, mapped
from vemrecon.volume.layout import Layout, dtype_notes, in_order, layout_of, viewed
from vemrecon.volume.lengths import edges_said
from vemrecon.volume.named_files import beside
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source
from vemrecon.volume.units import nm_per
from vemrecon.volume.volume import Origin

TYPES = {
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64",
                     "int64_t"), "i8"),
    "float": "f4", "double": "f8",
}  # fmt: skip
SPACE_KINDS = ("domain", "space")
CHANNEL_KINDS = ("list", "vector", "point", "normal", "scalar", "stub", "none")
OPENERS: dict[str, Any] = {"gzip": gzip.open, "gz": gzip.open, "bzip2": bz2.open, "bz2": bz2.open}


def open_nrrd(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open an NRRD file: a memory map, or if compressed all of it in memory.

    Raises:
        DataError: If the file is damaged or truncated, or its voxels are elsewhere, or kept as text.
    """
    header, offset = _header(path)
    array, notes = _voxels(path, header, offset)
    frame = _frame(header, array.ndim)
    layout = layout_of(path.name, array.shape, _axes(header, frame, array.ndim), reading)
    edges, origin, why = _place(header, frame, layout)
    return Source(
        viewed(array, layout),
        "NRRD",
        layout.axes,
        tuple(array.shape),
        array.dtype,
        edges=edges,
        origin=origin,
        origin_from="NRRD space origin" if any(origin) else "",
        notes=(*notes, *why, *dtype_notes(array.dtype)),
    )


def _header(path: Path) -> tuple[Mapping[str, Any], int]:
    """Fields, and where the voxels begin in the same file."""
    import nrrd

    try:
        with path.open("rb") as file:
            header = nrrd.read_header(file)
            offset = file.tell()
        sizes = [int(n) for n in header["sizes"]]
        if len(sizes) != header["dimension"] or min(sizes) < 1:
            raise ValueError(f"sizes {sizes} of dimension {header['dimension']}")
        return {
            **header,
            "sizes": sizes,
            "type": header["type"].strip(),
            "encoding": header["encoding"].lower(),
        }, offset
    except Exception as error:  # the library raises many kinds on damaged headers
        raise DataError(f"{path}: not an NRRD file, or a damaged header ({' '.join(str(error).split())})") from error


def _voxels(path: Path, header: Mapping[str, Any], offset: int) -> tuple[NDArray[Any], list[str]]:
    """The array as stored, its last axis the fastest."""
    if header["type"] not in TYPES:
        raise DataError(f"{path}: voxels of type {header['type']} are no grey levels")
    dtype, shape = np.dtype(TYPES[header["type"]]), header["sizes"][::-1]
    if dtype.itemsize > 1:
        order = str(header.get("endian", "")).lower()
        if order not in ("little", "big"):
            raise DataError(f"{path}: its header does not say the byte order (`endian`); add it")
        dtype = dtype.newbyteorder("<" if order == "little" else ">")
    name = header.get("data file") or header.get("datafile")
    file = path
    if name is not None:
        if str(name).split()[0] == "LIST" or "%" in str(name):
            raise DataError(f"{path}: its voxels are spread over several files; save them in one")
        file, offset = beside(path, str(name), "its voxels are in"), 0
    lines = int(header.get("line skip") or header.get("lineskip") or 0)
    skip = int(header.get("byte skip") or header.get("byteskip") or 0)
    if lines < 0 or skip < -1:
        raise DataError(f"{path}: damaged NRRD header (line skip {lines}, byte skip {skip})")
    if header["encoding"] == "raw":
        size = math.prod(shape) * dtype.itemsize
        start = file.stat().st_size - size if skip == -1 else _after_lines(file, offset, lines) + skip
        return mapped(file, start, shape, dtype), []
    opener = OPENERS.get(header["encoding"])
    if opener is None:
        raise DataError(f"{path}: voxels in the encoding '{header['encoding']}'; save it as raw or gzip")
    with file.open("rb") as outer:
        outer.seek(_after_lines(file, offset, lines))
        with opener(outer, "rb") as stream:
            try:
                stream.read(max(0, skip))
            except (EOFError, OSError) as error:
                raise DataError(f"{path}: truncated or damaged ({error})") from error
            return inflated(file, stream, shape, dtype), [NOTE]


def _after_lines(file: Path, offset: int, lines: int) -> int:
    with file.open("rb") as stream:
        stream.seek(offset)
        for _ in islice(stream, lines):
            pass
        return stream.tell() if lines else offset


def _frame(header: Mapping[str, Any], count: int) -> Frame | None:
    """Directions in space; None where the header has none for three axes."""
    directions = header.get("space directions")
    if directions is None:
        return None
    rows = np.asarray([[np.nan] * 3 if row is None else row for row in directions], dtype=np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)] if rows.ndim == 2 else rows
    if rows.shape != (3, 3):
        return None
    place = header.get("space origin")
    return Frame(rows, None if place is None or len(place) != 3 else list(place))


def _axes(header: Mapping[str, Any], frame: Frame | None, count: int) -> list[str] | None:
    """Names of axes as stored, from labels or kinds; three that nobody names are those of space."""
    labels = [str(label).lower() for label in header.get("labels") or []]
    if len(labels) == count and set("xyz") <= set(labels):
        return labels[::-1]
    kinds = [str(kind).lower() for kind in header.get("kinds") or []]
    if len(kinds) != count:
        kinds = _kinds_by_directions(header, count)
    letters = iter(frame.axes if frame else "xyz")
    if sum(kind in SPACE_KINDS for kind in kinds) != 3:
        return None
    return [next(letters) if kind in SPACE_KINDS else _other(kind) for kind in kinds][::-1]


def _kinds_by_directions(header: Mapping[str, Any], count: int) -> list[str]:
    rows = header.get("space directions")
    if rows is None or len(rows) != count:
        return ["domain"] * count
    return ["none" if row is None or not np.isfinite(np.asarray(row, np.float64)).all() else "space" for row in rows]


def _other(kind: str) -> str:
    return "c" if kind in CHANNEL_KINDS or "color" in kind or "vector" in kind else kind


def _place(header: Mapping[str, Any], frame: Frame | None, layout: Layout) -> tuple[Edges, Origin, tuple[str, ...]]:
    """Edges of a voxel, origin, and what a user should know."""
    nowhere = (0.0, 0.0, 0.0)
    if frame is not None:
        return placed(frame, layout, _unit(header.get("space units")), "NRRD space directions")
    spacings = header.get("spacings")
    if spacings is None:
        return UNKNOWN, nowhere, ()
    edges = [float(edge) for edge in spacings][::-1]
    units = list(header.get("units") or header.get("space units") or [])[::-1]
    if len(edges) == len(layout.axes) == len(units):
        units = [unit for unit, at in zip(units, layout.at, strict=True) if at is None]
    return edges_said(in_order(edges, layout) or nowhere, _unit(units), "NRRD spacings"), nowhere, ()


def _unit(words: Any) -> float | None:
    """nm in the one unit of several words; None if there are none, several, or unknown ones."""
    found = {nm_per(str(word).strip().strip('"')) for word in words if word} if words else {None}
    return found.pop() if len(found) == 1 else None
