"""Sections of a volume as PNG pictures: grey values, signed errors, and the scale bar that belongs to them."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vemrecon.errors import DataError
from vemrecon.volume import SectionGrid
from vemrecon.volume.planes import PLANE_AXES

Section = npt.NDArray[np.uint8]
LARGEST = 320
"""Voxels along a side of a picture: enough to judge membranes, small enough for one file with many methods."""

LIMITS = (16, 24, 32, 48, 64, 96, 128, 255)
"""Grey levels at which an error map may saturate."""

DIVERGING = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31))
"""Blue, white, red; the ends are as dark as each other, so the map reads without colour vision for size, not sign."""


@dataclass(frozen=True)
class Sections:
    """The central sections of one run, by role (truth, observed, reconstruction) and plane."""

    pictures: Mapping[str, Mapping[str, Section]]
    position: tuple[int, int, int] | None
    voxel_size: tuple[float, float, float] | None
    """Of the truth, in nanometres, z-y-x."""
    origin: tuple[int, int, int] | None = None
    """First voxel of the pictures."""
    depths: tuple[int, ...] = ()
    """Positions of the sections of stacks along the coarse axis; none in results that are older than stacks."""
    stacks: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    """Sections through the whole depth, shape (depths, rows, columns), by role."""


def load_sections(path: Path) -> Sections:
    """Read the sections a run has kept.

    Raises:
        DataError: If the file is damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        position, voxel_size = _triple(data.get("position")), _triple(data.get("voxel_size"))
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path.name}: not readable ({error})") from error
    pictures: dict[str, dict[str, Section]] = {}
    for role in ("truth", "observed", "reconstruction"):
        found = {plane: data[f"{role}_{plane}"] for plane in PLANE_AXES if f"{role}_{plane}" in data}
        if any(section.ndim != 2 or section.dtype != np.uint8 or not section.size for section in found.values()):
            raise DataError(f"{path.name}: the {role} sections are not two-dimensional uint8 arrays")
        pictures[role] = found
    return Sections(
        pictures,
        None if position is None else (int(position[0]), int(position[1]), int(position[2])),
        voxel_size if voxel_size and min(voxel_size) > 0 else None,
        None if (first := _triple(data.get("origin"))) is None else (int(first[0]), int(first[1]), int(first[2])),
        *_stacks(data),
    )


def _stacks(data: Mapping[str, Any]) -> tuple[tuple[int, ...], dict[str, npt.NDArray[np.uint8]]]:
    """Positions and stacks, if they are what they should be."""
    depths = data.get("stack_positions", np.zeros(0, int))
    found = {role: data[f"{role}_stack"] for role in ("truth", "reconstruction") if f"{role}_stack" in data}
    right = depths.ndim == 1 and np.issubdtype(depths.dtype, np.integer)
    right &= all(one.ndim == 3 and one.dtype == np.uint8 and len(one) == len(depths) for one in found.values())
    return (tuple(depths.tolist()), found) if right and found else ((), {})


def _triple(values: npt.NDArray[np.generic] | None) -> tuple[float, float, float] | None:
    """Three finite numbers, or None."""
    if values is None or values.size != 3:
        return None
    z, y, x = (float(value) for value in values.ravel())
    return (z, y, x) if math.isfinite(z) and math.isfinite(y) and math.isfinite(x) else None


def stretch(observed: Section, shape: tuple[int, ...], grid: SectionGrid) -> Section:
    """Repeat the coarse rows or columns of an observed section, so that it lies on the grid of the truth.

    Args:
        observed: Section, coarse along one axis or, seen along that axis, along none.
        shape: Shape of the section of the truth.
        grid: Where the observed sections lie.

    >>> stretch(np.array([[1], [2]], np.uint8), (4, 1), SectionGrid.slabs(2)).ravel().tolist()
    [1, 1, 2, 2]
    >>> stretch(np.array([[1], [2]], np.uint8), (4, 1), SectionGrid.kept_every(2)).ravel().tolist()
    [1, 2, 2, 2]
    """
    for axis, size in enumerate(shape):
        if observed.shape[axis] != size:
            where = np.floor(grid.sections_at(np.arange(size)) + 0.5)
            observed = observed.take(np.clip(where.astype(int), 0, observed.shape[axis] - 1), axis)
    return observed


def centre(section: Section, largest: int = LARGEST) -> Section:
    """The middle of a section that is too large for a page, at full resolution."""
    rows, columns = ((max(0, (size - largest) // 2), min(size, largest)) for size in section.shape)
    return section[rows[0] : rows[0] + rows[1], columns[0] : columns[0] + columns[1]]


def error_limit(errors: Sequence[npt.NDArray[Any]], limits: Sequence[int] = LIMITS) -> int:
    """Where the colours saturate: one limit for all methods of a task, above 98 % of all errors together."""
    if not errors:
        return limits[0]
    large = float(np.quantile(np.abs(np.concatenate([error.ravel() for error in errors])), 0.98))
    return next((limit for limit in limits if limit >= large), limits[-1])


def grey_png(section: Section) -> bytes:
    """A section as it is, one pixel per voxel."""
    return indexed_png(section, None)


def error_png(error: npt.NDArray[np.int16], limit: int) -> bytes:
    """A signed error in grey levels: blue too dark, white right, red too bright."""
    index = np.rint(np.clip(error / limit, -1, 1) * 127 + 127).astype(np.uint8)
    return indexed_png(index, palette())


def palette() -> bytes:
    """255 colours with white in the middle, as red, green, blue bytes."""
    stops = np.linspace(0, 254, len(DIVERGING))
    colours = [np.interp(np.arange(255), stops, [colour[channel] for colour in DIVERGING]) for channel in range(3)]
    return np.rint(np.stack(colours, axis=1)).astype(np.uint8).tobytes()


def indexed_png(section: Section, colours: bytes | None) -> bytes:
    """Numbers of colours (red, green and blue bytes), one pixel per voxel; grey levels without colours."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(section))
    if colours is not None:
        image.putpalette(colours)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def scale_bar(width_nm: float) -> float:
    """A round length (1, 2 or 5 times a power of ten) of at most a third of the picture.

    >>> scale_bar(2500), scale_bar(700)
    (500.0, 200.0)
    """
    power = 10.0 ** math.floor(math.log10(width_nm / 3))
    return next(step * power for step in (5, 2, 1) if step * power <= width_nm / 3)


def length_text(nanometres: float) -> str:
    """A length with the unit that reads best.

    >>> length_text(200), length_text(1250), length_text(7.5)
    ('200 nm', '1.25 µm', '7.5 nm')
    """
    return f"{nanometres / 1000:.4g} µm" if nanometres >= 1000 else f"{nanometres:.4g} nm"
