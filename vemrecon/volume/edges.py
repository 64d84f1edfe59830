"""`Edges`: edge lengths of a voxel one by one, each with where it is said, as files and users know them in part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vemrecon.errors import DataError
from vemrecon.volume.units import is_unknown_word, nm_per
from vemrecon.volume.voxels import VoxelSize

AXES = "zyx"
OPTION = "--voxel-size"


@dataclass(frozen=True)
class Edge:
    """Length of one edge of a voxel."""

    nm: float
    said: str
    """Where."""


@dataclass(frozen=True)
class Edges:
    """What is known about the edges of a voxel.

    Attributes:
        z: Length along z; None where nobody says it.
        y: Length along y.
        x: Length along x.
        unused: What is said about them that cannot be used, for people.
        notes: What is said otherwise in a second place.
    """

    z: Edge | None = None
    y: Edge | None = None
    x: Edge | None = None
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, sizes: Sequence[float | None] | VoxelSize, said: str) -> Edges:
        """Edges that are said in one place, in nm (z, y, x); None for those that are not."""
        z, y, x = (None if nm is None else Edge(float(nm), said) for nm in sizes)
        return cls(z, y, x)

    @classmethod
    def read(cls, values: Sequence[Any], units: Any, said: str, usual: str = "") -> Edges:
        """Edges as metadata have them: whatever is no length is left out, with the reason.

        Args:
            values: Along z, y and x; None for what is not there.
            units: A word for all, or one for each.
            said: Where.
            usual: Unit where none is written; empty if none is usual.
        """
        words = list(units) if isinstance(units, list | tuple) and len(units) == 3 else [units] * 3
        words = [word.decode(errors="replace") if isinstance(word, bytes) else word for word in words]
        numbers = [_number(value) for value in values]
        present = [number for number in numbers if number is not None]
        written = [word for word in words if isinstance(word, str) and word.strip()]
        if present and set(present) == {1.0} and not written:
            return cls(unused=(f"{said} says 1 without a unit, which is a pixel",))
        found: list[Edge | None] = []
        unused: list[str] = []
        for axis, value, number, word in zip(AXES, values, numbers, words, strict=True):
            unit = word if isinstance(word, str) and word.strip() else usual
            factor = nm_per(unit)
            usable = number is not None and number > 0 and math.isfinite(number * (factor or 1))
            found.append(Edge(number * factor, said) if usable and number is not None and factor else None)
            if number is None and value is None:
                continue
            if not usable:
                unused.append(f"{said} says {axis} {value!r}, which is no length")
            elif factor is None and is_unknown_word(unit):
                unused.append(f"{said} has the unit '{unit}', which is not known")
            elif factor is None:
                unused.append(f"{said} has no unit of length")
        return cls(found[0], found[1], found[2], unused=tuple(dict.fromkeys(unused)))

    def __iter__(self) -> Iterator[float | None]:
        return iter(edge.nm if edge else None for edge in self.each)

    def __str__(self) -> str:
        if self.size is not None:
            return str(self.size)
        return ", ".join(f"{axis} {edge.nm:g} nm" for axis, edge in self._known) or "nothing"

    @property
    def each(self) -> tuple[Edge | None, Edge | None, Edge | None]:
        """Along z, y and x."""
        return self.z, self.y, self.x

    @property
    def _known(self) -> list[tuple[str, Edge]]:
        return [(axis, edge) for axis, edge in zip(AXES, self.each, strict=True) if edge is not None]

    @property
    def size(self) -> VoxelSize | None:
        """The voxel size, where all edges are known."""
        known = [edge.nm for _, edge in self._known]
        return VoxelSize(*known) if len(known) == 3 else None

    @property
    def said(self) -> str:
        """Where they are said, for people: one place, or which axes are said where."""
        places: dict[str, list[str]] = {}
        for axis, edge in self._known:
            places.setdefault(edge.said, []).append(axis)
        if self.size is not None and len(places) == 1:
            return next(iter(places))
        return "; ".join(f"{', '.join(axes)}: {place}" for place, axes in places.items())

    @property
    def lacking(self) -> str:
        """What is not known, and what to give; empty where all is known."""
        if self.size is not None:
            return ""
        why = f" ({'; '.join(self.unused)})" if self.unused else ""
        if not self._known:
            return f"the file does not say its voxel size{why}; give it as {OPTION} Z Y X in nm"
        gone = [axis for axis, edge in zip(AXES, self.each, strict=True) if edge is None]
        again = {axis: edge.nm for axis, edge in self._known if edge.said == OPTION}
        words = " ".join(
            f"{axis}={again[axis]:g}" if axis in again else f"{axis}=NM" for axis in AXES if axis in {*gone, *again}
        )
        return (
            f"of its voxel size {self} is known ({self.said}), but not {' and '.join(gone)}{why}; give {OPTION} {words}"
        )

    def over(self, other: Edges) -> Edges:
        """These edges, and those of `other` where these are not known."""
        z, y, x = (own or their for own, their in zip(self.each, other.each, strict=True))
        notes = (*self.notes, *other.notes)
        if self.differ_from(other):
            notes = (*notes, f"{self.said} says voxels of {self} and is taken, {other.said} says {other}")
        return Edges(z, y, x, unused=(*self.unused, *other.unused), notes=notes)

    def swapped(self, axis: int) -> Edges:
        """With z and another axis exchanged."""
        each = list(self.each)
        each[0], each[axis] = each[axis], each[0]
        return replace(self, z=each[0], y=each[1], x=each[2])

    def differ_from(self, other: Edges) -> bool:
        """Whether an edge that both know is another one, by more than 1 %."""
        pairs = [(a, b) for a, b in zip(self, other, strict=True) if a is not None and b is not None]
        return not all(VoxelSize(a, a, a).close_to(VoxelSize(b, b, b)) for a, b in pairs)


UNKNOWN = Edges()


def read_size(words: Sequence[Any]) -> Edges:
    """Edges from the words of an option: three numbers (z, y, x), or words such as `z=40`.

    >>> list(read_size(["z=40", "x=4"]))
    [40.0, None, 4.0]

    Raises:
        DataError: If an edge is not positive.
    """
    found: dict[str, float] = {}
    for n, word in enumerate(words):
        axis, equals, value = word.partition("=") if isinstance(word, str) else (AXES[n], "", word)
        found[axis] = float(value if equals else word)
    edges = Edges.of([found.get(axis) for axis in AXES], OPTION)
    for _, edge in edges._known:
        if not (math.isfinite(edge.nm) and edge.nm > 0):
            raise DataError(f"{OPTION}: voxel size must be positive in every axis, got {edge.nm:g} nm")
    return edges


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
