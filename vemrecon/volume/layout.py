"""`Layout`: which axis of a stored array is which, and the volume (z, y, x) inside the array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume.reading import Reading
from vemrecon.volume.volume import Array3D

SPACE = "zyx"
WORDS = {"channel": "c", "channels": "c", "ch": "c", "s": "c", "time": "t", "frame": "t", "frames": "t"}
MEANINGS = {"c": "channels", "t": "time points"}


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
