"""`Source`: voxels of a file, and what the file says about them, as every reader hands it over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.layout import MEANINGS
from vemrecon.volume.reading import Missing, Reading, Run
from vemrecon.volume.region import Region, Triple, triple
from vemrecon.volume.volume import Array3D, Origin, moved
from vemrecon.volume.voxels import VoxelSize

MANY, MOST_MISSING = 10_000, 0.999
"""Parts of a file, and the share of them that may be missing: a file can claim any size, and be read for years."""


@dataclass(frozen=True)
class Stored:
    """How much of a volume is in the file."""

    unit: str
    """What is counted: chunks, pages, sections."""
    expected: int
    missing: int
    where: str = ""
    """Which are missing, for people."""
    whole: tuple[Run, ...] = ()
    """Runs of sections that are there, each of them whole, in their order; only said where something is missing."""
    rows: Run | None = None
    """The longest run of rows (y) that are whole in all sections, where it is known."""
    columns: Run | None = None
    """The same of columns (x)."""

    def lacking(self, count: int) -> tuple[int, ...]:
        """Of so many sections, those of which something is missing."""
        there = {z for start, stop in self.whole for z in range(start, min(stop, count))}
        return tuple(z for z in range(count) if z not in there) if self.missing else ()

    def largest_part(self, shape: Triple) -> tuple[Region, str] | None:
        """The largest whole part of a volume (z, y, x) cut along one axis, and its name; None if there is none."""
        sections = max(self.whole, key=lambda run: run[1] - run[0], default=None)
        parts = []
        for axis, (name, run) in enumerate((("sections", sections), ("rows", self.rows), ("columns", self.columns))):
            if run is not None:
                start, stop = [0, 0, 0], list(shape)
                start[axis], stop[axis] = run
                parts.append((Region(triple(start), triple(stop)), f"{name} {run[0]} to {run[1] - 1}"))
        return max(parts, key=lambda part: part[0].voxels, default=None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        facts = {name: value for name, value in vars(self).items() if name not in ("rows", "columns")}
        return {**facts, "whole": [list(run) for run in self.whole]}

    @property
    def next_to_nothing(self) -> bool:
        """Whether far more is claimed than is there."""
        return self.expected > MANY and self.missing > MOST_MISSING * self.expected


@dataclass(frozen=True)
class Source:
    """Voxels of a file and what it says about them; each fact with where it comes from.

    Attributes:
        array: Shape (z, y, x), in the byte order of this machine.
        format: Such as `OME-Zarr`.
        dataset: Name inside the file; empty where there is only one.
        axes: Letters in the order of the file.
        shape: In the order of the file.
        dtype: In the byte order of the file.
        stored: What is there; None where a format cannot lack anything without being damaged.
        edges: Of a voxel, as far as the file says them.
        origin: Centre of voxel (0, 0, 0) in nm.
        origin_from: Where it says so; empty if it does not.
        zero: Voxel whose centre has the position 0, where the file says that and not the origin.
        photometric: What grey levels mean in the file, where that is not that black is the lowest.
        intensity_range: Grey values that mean black and white, if the file says it.
        grid: Where sections lie, if the file says it.
        made: How a file of ours was made, and by which version (see `Made`); empty for others.
        notes: What was done to read it that a user should know.
    """

    array: Array3D
    format: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    dataset: str = ""
    stored: Stored | None = None
    edges: Edges = UNKNOWN
    origin: Origin = (0.0, 0.0, 0.0)
    origin_from: str = ""
    zero: Origin | None = None
    photometric: str = ""
    intensity_range: tuple[float, float] | None = None
    grid: SectionGrid | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def origin_with(self, size: VoxelSize | None) -> Origin:
        """The origin in nm, if voxels are of this size; where that only corrects the unit of the file, its also."""
        if self.zero is not None:
            return moved(self.origin, [-n for n in self.zero], size)
        said = self.edges.size
        if size is None or said is None:
            return self.origin
        unit = 1000.0 ** round(math.log(size.z / said.z, 1000))
        if not VoxelSize(*(edge * unit for edge in said)).close_to(size):
            return self.origin
        z, y, x = (nm * unit for nm in self.origin)
        return z, y, x


def all_heard(name: str, source: Source, reading: Reading) -> Source:
    """A source, after a look at whether all that the user says about it has been of use.

    Raises:
        ConfigError: If something was not, and was said of this file alone; else it is noted.
    """
    notes = []
    for axis, option in (("c", "channel"), ("t", "time")):
        several = axis in source.axes and source.shape[source.axes.index(axis)] > 1
        if reading.chosen[axis] and not several:
            said = f"--{option} {reading.chosen[axis]}"
            if not reading.several:
                raise ConfigError(f"{name}: {said}: it has only one of its {MEANINGS[axis]}")
            notes.append(f"has no {MEANINGS[axis]} to choose from, and is read as it is; {said} is for files that have")
    if reading.axes is not None and reading.axes.lower() != source.axes:
        if not reading.several:
            raise ConfigError(f"{name}: --axes {reading.axes}: its axes are {source.axes}")
        notes.append(f"has the axes {source.axes}, and is read as it is; --axes {reading.axes} is for files that have")
    return replace(source, notes=(*source.notes, *notes)) if notes else source


def require_stored(
    name: str, stored: Stored | None, missing: Missing, shape: Triple
) -> tuple[Region | None, tuple[str, ...]]:
    """Refuse what was never stored: it reads as silent black.

    Args:
        name: For messages.
        stored: What is there.
        missing: What the user says about the rest.
        shape: Of the volume (z, y, x).

    Returns:
        The part that is read, None for all; and notes where the user says what to do without the missing one.

    Raises:
        DataError: With how much is missing, and the options that say what to do.
    """
    if stored is None or not stored.missing:
        return None, ()
    many = f"{stored.missing} of {stored.expected} {stored.unit} are not stored"
    many += f" ({stored.where})" if stored.where else ""
    if stored.next_to_nothing and missing != "exclude":
        raise DataError(
            f"{name}: {many}: too little of what it claims to be is there to be read; write the part that holds "
            f"something as a file of its own"
        )
    if missing == "fill":
        return None, (f"{many} and are taken for the fill value, as --missing fill says",)
    part = stored.largest_part(shape)
    if missing == "exclude":
        if part is None:
            raise DataError(f"{name}: {many}, and no section is whole, so --missing exclude leaves nothing to read")
        return part[0], (f"{many}; read are {part[1]}, the largest part without missing ones",)
    raise DataError(
        f"{name}: {many}: an incomplete copy, or never written; if they are meant to be the fill value (usually "
        f"black), say --missing fill" + (f"; --missing exclude reads {part[1]} alone" if part else "")
    )
