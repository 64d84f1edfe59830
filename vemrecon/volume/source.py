"""`Source`: voxels of a file, and what the file says about them, as every reader hands it over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.region import Region, Triple, triple
from vemrecon.volume.volume import Array3D, Origin, moved
from vemrecon.volume.voxels import VoxelSize

Missing = Literal["refuse", "fill", "exclude"]
Run = tuple[int, int]
"""First of consecutive sections, and the one behind the last."""
SPACE = "zyx"
WORDS = {"channel": "c", "channels": "c", "ch": "c", "s": "c", "time": "t", "frame": "t", "frames": "t"}
MANY, MOST_MISSING = 10_000, 0.999
"""Parts of a file, and the share of them that may be missing: a file can claim any size, and be read for years."""
MEANINGS = {"c": "channels", "t": "time points"}


@dataclass(frozen=True)
class Reading:
    """What a user says about a file that the file does not say, or says wrongly.

    Attributes:
        channel: Which one is read, where there are several.
        time: Which time point is read, where there are several.
        axes: Letters of the axes as they are stored, such as `czyx`.
        missing: `fill` declares that what was never stored is the fill value (black where there is none); `exclude`
            reads the longest run of sections of which everything is stored.
        square_pixels: Whether the coarser of y and x is interpolated to the finer edge.
        several: Whether this is said of several files: channel, time and axes are then those of files that have such.
    """

    channel: int | None = None
    time: int | None = None
    axes: str | None = None
    missing: Missing = "refuse"
    square_pixels: bool = False
    several: bool = False

    @property
    def chosen(self) -> dict[str, int | None]:
        """Position on every axis that is not one of space."""
        return {"c": self.channel, "t": self.time}

    def said(self) -> dict[str, Any]:
        """What differs from saying nothing."""
        usual = vars(AS_IT_IS) | {"several": self.several}
        return {name: value for name, value in vars(self).items() if value != usual[name]}


AS_IT_IS = Reading()


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


@dataclass(frozen=True)
class Layout:
    """Which axis of a stored array is which, and where on the others the volume lies."""

    axes: str
    """A letter for every stored axis; `.` for one of length 1 that nobody named."""
    at: tuple[int | None, ...]
    """Position on the axes that are not of space."""

    @property
    def order(self) -> tuple[int, ...]:
        """Of the axes of space, as stored, those of z, y and x."""
        left = [axis for axis, at in zip(self.axes, self.at, strict=True) if at is None]
        return tuple(left.index(axis) for axis in SPACE)

    @property
    def plain(self) -> bool:
        """Whether the stored array is the volume."""
        return self.axes == SPACE


def layout_of(name: str, shape: Sequence[int], axes: Sequence[str] | None, reading: Reading) -> Layout:
    """Which axis is which: as the user says, as the file says, or (z, y, x) where nobody does and there are three.

    Args:
        name: For messages.
        shape: As stored.
        axes: Names as the file has them; None where it has none.
        reading: What the user says.

    Raises:
        DataError: If it cannot be known, or this is no volume.
        ConfigError: If the user's axes, channel or time point do not fit. Whether they were of use is for `all_heard`.
    """
    if reading.axes is not None and not (reading.several and len(reading.axes) != len(shape)):
        letters = _given(name, shape, reading.axes)
    else:
        known = [WORDS.get(axis.lower(), axis.lower()) for axis in axes or ()]
        letters = known if set(known) & set(SPACE) else _guessed(name, shape)
    for axis in SPACE:
        if letters.count(axis) != 1:
            raise DataError(_no_volume(name, shape, letters))
    at: list[int | None] = []
    for axis, count in zip(letters, shape, strict=True):
        at.append(None if axis in SPACE else _position(name, axis, count, reading))
    return Layout("".join(axis if len(axis) == 1 else "." for axis in letters), tuple(at))


def _given(name: str, shape: Sequence[int], axes: str) -> list[str]:
    letters = list(axes.lower())
    if len(letters) != len(shape) or sorted(set(letters) - set("ct")) != sorted(SPACE) or len(set(letters)) < len(axes):
        raise ConfigError(
            f"{name}: --axes {axes}: must be one letter for each of its {len(shape)} axes (shape "
            f"{tuple(shape)}): z, y, x, and c for channels or t for time"
        )
    return letters


def _guessed(name: str, shape: Sequence[int]) -> list[str]:
    """Axes that nobody has named."""
    if len(shape) <= 3:
        return list(SPACE[3 - len(shape) :]) if shape else []
    long = [axis for axis, count in enumerate(shape) if count != 1]
    if len(long) > 3:
        raise DataError(
            f"{name}: an array of shape {tuple(shape)} that does not name its axes; a volume has the three axes "
            f"(z, y, x): say which is which, such as --axes {'tczyx'[-len(shape) :]} (--channel, --time choose)"
        )
    rest = [axis for axis in range(len(shape) - 1, -1, -1) if axis not in long][: 3 - len(long)]
    space = sorted([*long, *rest])
    return [SPACE[space.index(axis)] if axis in space else "." for axis in range(len(shape))]


def _no_volume(name: str, shape: Sequence[int], letters: Sequence[str]) -> str:
    others = [(axis, n) for axis, n in zip(letters, shape, strict=True) if axis not in SPACE and n > 1]
    said = f"axes {', '.join(letters)} of shape {tuple(shape)}"
    if not others and "z" not in letters:
        return f"{name}: a 2D image ({said}) is one section; put all sections into a folder or one file, and name that"
    if "z" in letters or len(others) != 1:
        return f"{name}: a 2D image or an array with {said}; a volume is a stack of sections with the axes (z, y, x)"
    axis, count = others[0]
    answer = "".join("z" if one == axis else one for one in letters)
    if axis in MEANINGS:
        what = f"one section with {count} {MEANINGS[axis]}, which are not sections"
        return f"{name}: {what} ({said}); if the file is wrong and they are, say --axes {answer}"
    answer = answer if set(answer) <= set("zyxct") else "zyx"
    return f"{name}: {said}; if '{axis}' counts sections, say --axes {answer}"


def _position(name: str, axis: str, count: int, reading: Reading) -> int:
    wanted = reading.chosen.get(axis)
    option = {"c": "channel", "t": "time"}.get(axis)
    if option is None and count > 1:
        raise DataError(
            f"{name}: an axis '{axis}' of {count} that is none of z, y, x, channel and time; name the axes as stored "
            f"with --axes, such as --axes czyx"
        )
    if wanted is None and count > 1:
        raise DataError(f"{name}: {count} {MEANINGS[axis]}; say which one with --{option} 0 to {count - 1}")
    if count == 1:
        return 0  # whether the user meant another one is asked later
    if wanted is not None and not 0 <= wanted < count:
        raise ConfigError(f"{name}: --{option} {wanted}: there are {count} {MEANINGS[axis]}, from 0 on")
    return wanted or 0


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


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """In which type voxels are handed out: the byte order of this machine, and float32 for other floats."""
    here = np.dtype(dtype).newbyteorder("=")
    return np.dtype(np.float32) if here.kind == "f" else here


def viewed(array: Any, layout: Layout) -> Array3D:
    """The volume inside a stored array; the array itself where nothing has to be done."""
    plain = layout.plain and native(array.dtype) == array.dtype and np.dtype(array.dtype).isnative
    return array if plain else View(array, layout)


def dtype_notes(dtype: np.dtype[Any]) -> tuple[str, ...]:
    """What a user should know about how a type is read."""
    here = np.dtype(dtype)
    return (f"{here.name} is read, and written again, as float32",) if here.kind == "f" and here.itemsize != 4 else ()


class View:
    """The (z, y, x) part of a stored array, in a type of this machine, still read on demand."""

    def __init__(self, array: Any, layout: Layout) -> None:
        self.array, self.layout = array, layout
        self.shape = tuple(int(array.shape[layout.axes.index(axis)]) for axis in SPACE)
        self.dtype = native(array.dtype)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        space = dict(zip(SPACE, index, strict=True))
        pairs = zip(self.layout.axes, self.layout.at, strict=True)
        voxels = np.asarray(self.array[tuple(space[axis] if at is None else at for axis, at in pairs)])
        return np.transpose(voxels, self.layout.order).astype(self.dtype)


def in_order(values: Sequence[Any], layout: Layout) -> list[Any] | None:
    """One value per stored axis, or per axis of space as stored, in the order z, y, x; None if they are other many."""
    left = list(values)
    if len(left) == len(layout.axes):
        left = [value for value, at in zip(left, layout.at, strict=True) if at is None]
    return [left[axis] for axis in layout.order] if len(left) == 3 else None


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
