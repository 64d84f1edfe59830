"""`SectionGrid`: where the sections of an anisotropic volume lie on the axis of the isotropic one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vemrecon.errors import DataError

GRID_KINDS = ("centred", "aligned")
"""Words for the two usual grids: of slab means, in the middle of their slabs, and of kept sections, where they were."""
CLOSE = 1e-9  # of a voxel: positions are products of small numbers


@dataclass(frozen=True)
class SectionGrid:
    """Where the sections of an anisotropic volume lie, in voxels of the isotropic one.

    Attributes:
        scale: Isotropic voxels from one section to the next.
        first: Centre of section 0, from the centre of voxel 0.
        thickness: Of a section; 0 for sections that were kept, the scale for slab means.

    >>> SectionGrid.slabs(8).positions(3).tolist(), SectionGrid.kept_every(8, offset=2).positions(3).tolist()
    ([3.5, 11.5, 19.5], [2.0, 10.0, 18.0])
    """

    scale: float
    first: float
    thickness: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            object.__setattr__(self, name, float(value))
        known = all(math.isfinite(value) for value in asdict(self).values())
        if not known or self.scale < 1 or not 0 <= self.first < self.scale or not 0 <= self.thickness <= self.scale:
            raise DataError(
                f"sections every {self.scale:g} voxels from {self.first:g} on, {self.thickness:g} thick: the first one "
                f"must lie at 0 or later and before the scale, and none is thicker than that"
            )

    @classmethod
    def slabs(cls, scale: float) -> SectionGrid:
        """Means over slabs, the first of which begins at voxel 0."""
        return cls(scale, (scale - 1) / 2, scale)

    @classmethod
    def kept_every(cls, scale: float, offset: float = 0) -> SectionGrid:
        """Sections that were kept while those between them were dropped."""
        return cls(scale, offset, 0)

    @classmethod
    def of_kind(cls, kind: str, scale: float) -> SectionGrid:
        """The grid that a word of `GRID_KINDS` stands for."""
        return cls.kept_every(scale) if kind == "aligned" else cls.slabs(scale)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> SectionGrid:
        """The grid of `as_dict`.

        Raises:
            DataError: If something is missing or is no number.
        """
        try:
            return cls(**{name: float(facts[name]) for name in ("scale", "first", "thickness")})
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"section grid {dict(facts)}: needs the numbers scale, first and thickness") from error

    @classmethod
    def stored(cls, value: Mapping[str, Any] | str, scale: float) -> SectionGrid:
        """The grid in a file: that of `as_dict`, or of earlier versions a word of `GRID_KINDS` that needs the scale."""
        return cls.of_kind(value, scale) if isinstance(value, str) else cls.from_dict(value)

    def as_dict(self) -> dict[str, float]:
        """All fields, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        what = "kept sections" if self.thin else "sections"
        return f"{what} every {self.scale:g} voxels, the first at {self.first:g}"

    @property
    def thin(self) -> bool:
        """Whether sections are isotropic ones that were kept."""
        return self.thickness == 0

    @property
    def kind(self) -> str:
        """The word of `GRID_KINDS`."""
        return "aligned" if self.thin else "centred"

    @property
    def canonical(self) -> SectionGrid:
        """The same sections, moved to where they begin: slabs at the lower face of voxel 0, kept ones with voxel 0."""
        return SectionGrid(self.scale, max(0.0, (self.thickness - 1) / 2), self.thickness)

    @property
    def upside_down(self) -> SectionGrid:
        """The grid of a volume of whole slabs whose voxels are put in reverse order."""
        return SectionGrid(self.scale, self.scale - 1 - self.first, self.thickness)

    def positions(self, count: int) -> NDArray[np.float64]:
        """Centres of the first sections, in voxels."""
        return np.asarray(np.arange(count) * self.scale + self.first, dtype=np.float64)

    def sections_at(self, z: ArrayLike) -> NDArray[np.float64]:
        """Where voxels lie, counted in sections: k at the centre of section k, k + 1/2 half-way to the next one."""
        from_edge = np.asarray(z, dtype=np.float64) + 0.5 - self._edge
        return np.asarray(from_edge / self.scale - 0.5 * self.thickness / self.scale)

    def extent(self, count: int) -> int:
        """Isotropic sections that a reconstruction of `count` sections has."""
        return round(count * self.scale)

    def covered(self, count: int) -> int:
        """Isotropic sections up to the far face of the last one; what lies behind it can only be guessed.

        >>> SectionGrid.kept_every(8).covered(4), SectionGrid.slabs(8).covered(4), SectionGrid.slabs(2.5).covered(5)
        (25, 32, 12)
        """
        if self.thin:
            return math.floor((count - 1) * self.scale + self.first) + 1
        return round(count * self.scale + (self._edge + self.thickness - self.scale))  # never more than `extent`

    def touched(self, first: int, last: int) -> tuple[int, int]:
        """Isotropic sections [start, stop) that sections [first, last) are made of.

        >>> SectionGrid.slabs(2.5).touched(1, 2), SectionGrid.kept_every(4, offset=1).touched(1, 3)
        ((2, 5), (5, 10))
        """
        start = math.floor(first * self.scale + self._edge)
        return start, math.ceil((last - 1) * self.scale + self._edge + self.thickness - CLOSE)

    def kept(self, count: int) -> NDArray[np.intp] | None:
        """Isotropic sections that are among the first `count` ones as they were; None if sections are thick."""
        if not self.thin:
            return None
        positions = self.positions(count)
        whole = np.rint(positions)
        return np.asarray(whole[np.abs(whole - positions) < CLOSE], dtype=np.intp)

    def nearest(self, z: float) -> int:
        """The section nearest to a voxel; of two equally near ones the earlier. It may lie outside the volume."""
        return math.ceil(float(self.sections_at(z)) - 0.5 - CLOSE)

    def between(self, z: float) -> int:
        """The voxel farthest from sections in the gap that a voxel lies in; of two equally far ones the later.

        >>> SectionGrid.kept_every(8).between(120), SectionGrid.slabs(8).between(120)
        (124, 120)
        """
        gap = math.floor(float(self.sections_at(z)) + CLOSE)
        return math.floor(self.halfway(gap) + 0.5 + CLOSE)

    def halfway(self, section: int) -> float:
        """Position in the middle between a section and the next one, in voxels."""
        return self.first + (section + 0.5) * self.scale

    @property
    def _edge(self) -> float:
        """Lower face of section 0, from the lower face of voxel 0: 0 for slabs, without a rounding error."""
        return self.first + 0.5 - self.thickness / 2
