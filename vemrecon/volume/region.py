"""`Region`: a box of voxels, half-open, in (z, y, x) order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vemrecon.errors import ConfigError, DataError

Triple = tuple[int, int, int]


def triple(values: Sequence[int]) -> Triple:
    """Three integers as a tuple, which is how every shape and position is kept."""
    z, y, x = (int(v) for v in values)
    return z, y, x


@dataclass(frozen=True, order=True)
class Region:
    """A box of voxels `start <= voxel < stop` in the coordinates of the volume that it belongs to.

    >>> Region((0, 0, 0), (4, 8, 8)).shape
    (4, 8, 8)
    """

    start: Triple
    stop: Triple

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", triple(self.start))
        object.__setattr__(self, "stop", triple(self.stop))
        if any(a < 0 or b <= a for a, b in zip(self.start, self.stop, strict=True)):
            raise DataError(f"empty or negative region {self}")

    def __str__(self) -> str:
        return " ".join(f"{n}[{a},{b})" for n, a, b in zip("zyx", self.start, self.stop, strict=True))

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Region:
        """The region that covers a volume of this shape."""
        return cls((0, 0, 0), triple(shape))

    @classmethod
    def of(cls, ranges: Sequence[Sequence[int]]) -> Region:
        """The region of `[[z0, z1], [y0, y1], [x0, x1]]`, as data files write it.

        >>> Region.of([[0, 4], [2, 8], [0, 8]]).start
        (0, 2, 0)
        """
        start, stop = zip(*ranges, strict=True)
        return cls(triple(start), triple(stop))

    @classmethod
    def read(cls, words: Sequence[str], shape: Sequence[int]) -> Region:
        """The region of words such as `10:40`, `:256` and `:`, inside a volume.

        >>> str(Region.read(["10:40", ":256", ":"], (50, 512, 300)))
        'z[10,40) y[0,256) x[0,300)'

        Raises:
            ConfigError: If they are no ranges, or reach beyond the volume.
        """
        ranges = []
        for axis, word, count in zip("zyx", words, shape, strict=True):
            first, colon, last = str(word).partition(":")
            try:
                start, stop = int(first or 0), int(last or count)
                if not colon or not 0 <= start < stop <= count:
                    raise ValueError
            except ValueError as error:
                said = f"--region {' '.join(map(str, words))}: along {axis}"
                raise ConfigError(f"{said} it must be FIRST:END inside 0:{count}, or : for all") from error
            ranges.append((start, stop))
        return cls.of(ranges)

    @classmethod
    def around(cls, voxel: Sequence[int], lengths: Sequence[int], shape: Sequence[int]) -> Region:
        """Voxels around one of them, moved inwards at the edges of a volume of a shape, which may be shorter.

        >>> str(Region.around((0, 5, 9), (4, 4, 40), (10, 10, 10)))
        'z[0,4) y[3,7) x[0,10)'
        """
        ranges = []
        for at, length, size in zip(voxel, lengths, shape, strict=True):
            inside = min(length, size)
            low = min(max(0, at - inside // 2), size - inside)
            ranges.append((low, low + inside))
        return cls.of(ranges)

    @property
    def shape(self) -> Triple:
        """Number of voxels along z, y and x."""
        return triple([b - a for a, b in zip(self.start, self.stop, strict=True)])

    @property
    def voxels(self) -> int:
        """Number of voxels in the region."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index into an array of shape (z, y, x)."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def shifted(self, by: Sequence[int]) -> Region:
        """The region moved by a number of voxels along each axis."""
        return Region(
            triple([a + d for a, d in zip(self.start, by, strict=True)]),
            triple([b + d for b, d in zip(self.stop, by, strict=True)]),
        )

    def relative_to(self, origin: Sequence[int]) -> Region:
        """The same voxels counted from another origin."""
        return self.shifted([-o for o in origin])

    def expanded(self, halo: Sequence[int], within: Region) -> Region:
        """The region with a margin on both sides, cut at the edges of `within`."""
        return Region(
            triple([max(a - h, w) for a, h, w in zip(self.start, halo, within.start, strict=True)]),
            triple([min(b + h, w) for b, h, w in zip(self.stop, halo, within.stop, strict=True)]),
        )

    def contains(self, other: Region) -> bool:
        """Whether every voxel of the other region lies in this one."""
        return all(a <= b for a, b in zip(self.start, other.start, strict=True)) and all(
            a >= b for a, b in zip(self.stop, other.stop, strict=True)
        )

    def overlaps(self, other: Region) -> bool:
        """Whether the two regions share a voxel."""
        return all(a < d and c < b for a, b, c, d in zip(self.start, self.stop, other.start, other.stop, strict=True))

    def intersection(self, other: Region) -> Region | None:
        """Voxels that lie in both regions, or None."""
        if not self.overlaps(other):
            return None
        return Region(triple([*map(max, self.start, other.start)]), triple([*map(min, self.stop, other.stop)]))

    def blocks(self, size: Sequence[int]) -> Iterator[Region]:
        """Blocks of at most `size` voxels per axis that tile the region, in z, y, x order."""
        steps = [
            [(a, min(a + s, stop)) for a in range(start, stop, s)]
            for start, stop, s in zip(self.start, self.stop, size, strict=True)
        ]
        for z0, z1 in steps[0]:
            for y0, y1 in steps[1]:
                for x0, x1 in steps[2]:
                    yield Region((z0, y0, x0), (z1, y1, x1))
