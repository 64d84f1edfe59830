"""`Stack`: what patches are cut from, in memory or read piece by piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume import Region, Volume
from vemrecon.volume.region import Triple, triple

Float32 = NDArray[np.float32]
Long = TypeVar("Long", "Stack", Volume)


class Stack(Protocol):
    """Voxels (z, y, x) in [0, 1]: an array, or what reads as one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each axis."""

    @property
    def size(self) -> int:
        """Number of all voxels."""

    def __getitem__(self, index: tuple[slice, slice, slice], /) -> Any:
        """A block, float32."""

    def transpose(self, order: Sequence[int], /) -> Any:
        """The same stack with its axes in another order."""


@dataclass(frozen=True)
class OnDemand:
    """A volume of which nothing but the blocks that are asked for is read: the same voxels as those of an array."""

    volume: Volume
    order: Triple = (0, 1, 2)

    @property
    def shape(self) -> Triple:
        """Number of voxels along each axis."""
        return triple([self.volume.shape[axis] for axis in self.order])

    @property
    def size(self) -> int:
        """Number of all voxels."""
        return math.prod(self.shape)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> Float32:
        spans = [part.indices(n)[:2] for part, n in zip(index, self.shape, strict=True)]
        stored = Region.of([spans[self.order.index(axis)] for axis in range(3)])
        return self.volume.read(stored).transpose(self.order)

    def transpose(self, order: Sequence[int]) -> OnDemand:
        """The same stack with its axes in another order."""
        return replace(self, order=triple([self.order[axis] for axis in order]))


def common_depth(stacks: Sequence[Long], wanted: int) -> int:
    """Sections of a patch: as many as wanted, or as stacks have that hold at least half of all sections.

    All patches have the same number, so that they make batches.
    """
    depths = sorted((stack.shape[0] for stack in stacks), reverse=True)
    held = accumulate(depths)
    return min(wanted, next(depth for depth, n in zip(depths, held, strict=True) if 2 * n >= sum(depths)))


def common_side(stacks: Sequence[Stack]) -> int:
    """The shortest lateral side of any stack: patches of a batch have room in all of them, however they are turned."""
    return min(n for stack in stacks for n in stack.shape[1:])


def long_enough(stacks: Sequence[Long], wanted: int) -> list[Long]:
    """Stacks or volumes that patches of the `common_depth` can be cut from."""
    depth = common_depth(stacks, wanted)
    return [stack for stack in stacks if stack.shape[0] >= depth]


def choose_stack(stacks: Sequence[Stack], rng: np.random.Generator, wanted: int = 1) -> Stack:
    """A stack that is `long_enough` for so many sections, drawn in proportion to its voxels."""
    stacks = long_enough(stacks, wanted)
    if len(stacks) == 1:
        return stacks[0]
    sizes = np.array([stack.size for stack in stacks], dtype=np.float64)
    return stacks[int(rng.choice(len(stacks), p=sizes / sizes.sum()))]


def crop_at_random(stack: Stack, size: Sequence[int], rng: np.random.Generator) -> Float32:
    """A block of this size at a random place, smaller where the stack is."""
    z, y, x = _somewhere(stack.shape, size, rng)
    return np.ascontiguousarray(stack[z, y, x])


def section_crop(stack: Stack, section: int, turn: int, size: Sequence[int], rng: np.random.Generator) -> Float32:
    """A part at a random place of a section that has been turned; smaller where the section is.

    Args:
        stack: Nothing else of it is read.
        section: Its number.
        turn: See `dihedral`.
        size: Of the part, after turning.
        rng: Draws the place.
    """
    shape = stack.shape[1:]
    y, x = _somewhere(shape[::-1] if turn & 4 else shape, size, rng)
    y, x = (x, y) if turn & 4 else (y, x)
    mirrors = (turn & 1, turn & 2) if turn & 4 else (turn & 2, turn & 1)
    y, x = (_mirrored(part, n) if m else part for part, n, m in zip((y, x), shape, mirrors, strict=True))
    return np.ascontiguousarray(dihedral(stack[section : section + 1, y, x][0], turn))


def dihedral(section: Float32, index: int) -> Float32:
    """One of the eight turns and reflections of a section."""
    section = section.T if index & 4 else section
    section = section[::-1] if index & 2 else section
    return section[:, ::-1] if index & 1 else section


def _somewhere(shape: Sequence[int], size: Sequence[int], rng: np.random.Generator) -> list[slice]:
    extent = [min(s, n) for s, n in zip(size, shape, strict=True)]
    start = [int(rng.integers(n - s + 1)) for s, n in zip(extent, shape, strict=True)]
    return [slice(a, a + s) for a, s in zip(start, extent, strict=True)]


def _mirrored(part: slice, length: int) -> slice:
    return slice(length - part.stop, length - part.start)
