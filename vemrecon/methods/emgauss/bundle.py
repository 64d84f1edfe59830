"""`Bundle`: the observed sections of one tile, when they were "filmed", and what lies between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vemrecon.volume import SectionGrid

EXACT = 1e-6  # of a voxel: positions are quotients of small numbers


@dataclass(frozen=True)
class Bundle:
    """Observed sections as frames of a movie whose time runs from 0 to 1.

    Positions along z are counted in observed sections: section k lies at k. Time runs from the lower face of the first
    section to the upper face of the last: from centre to centre where sections were kept, while the mean of a slab has
    the thickness of 1.

    Attributes:
        sections: Shape (n, y, x), in [0, 1].
        grid: Where these lie among the reconstructed ones.
    """

    sections: Tensor
    grid: SectionGrid

    def __len__(self) -> int:
        return len(self.sections)

    @property
    def thick(self) -> float:
        """Thickness of a section: 0 or 1."""
        return self.grid.thickness / self.grid.scale

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.sections.shape[1], self.sections.shape[2]

    def time(self, position: float) -> float:
        """Time at a position; before the first and after the last one time stands still."""
        share = (position + self.thick / 2) / max(len(self) - 1 + self.thick, 1)
        return min(max(share, 0.0), 1.0)

    def positions(self) -> list[float]:
        """Positions of all reconstructed sections."""
        return list(self.grid.sections_at(np.arange(self.grid.extent(len(self)))))

    def kept(self) -> dict[int, int]:
        """Which reconstructed sections are observed ones: number of the one to number of the other."""
        kept = self.grid.kept(len(self))
        return {} if kept is None else {int(z): round(float(self.grid.sections_at(z))) for z in kept}

    def kept_at(self, position: float) -> int | None:
        """The observed section that was kept at a position."""
        number = round(position)
        exact = abs(position - number) * self.grid.scale < EXACT
        return number if self.grid.thin and exact and 0 <= number < len(self) else None

    def observed_times(self, number: int, slab: int, rng: np.random.Generator) -> list[float]:
        """Times whose mean is an observed section: one, or `slab` of them, spread over a slab."""
        if self.grid.thin:
            return [self.time(number)]
        return [
            self.time(number - self.thick / 2 + self.thick * (i + u) / slab)
            for i, u in enumerate(rng.uniform(size=slab))
        ]

    def between(self, reach: float, rng: np.random.Generator) -> float:
        """A position between two observed sections.

        Args:
            reach: Largest distance from the middle of the gap in gaps: 0 for the middle alone, 1/2 for all of it.
            rng: Draws it.
        """
        gap = int(rng.integers(max(len(self) - 1, 1)))
        if self.grid.thin and self.grid.scale.is_integer():
            return gap + float(rng.choice(middle_offsets(round(self.grid.scale), reach))) / self.grid.scale
        return gap + 0.5 + reach * float(rng.uniform(-1, 1))

    def interpolated(self, position: float) -> Tensor:
        """The section at a position by linear interpolation, shape (y, x)."""
        first = min(max(math.floor(position), 0), len(self) - 1)
        second = min(first + 1, len(self) - 1)
        return self.sections[first].lerp(self.sections[second], min(max(position - first, 0.0), 1.0))


def middle_offsets(scale: int, reach: float) -> list[int]:
    """Unobserved sections of a gap that are near its middle; at least the nearest ones.

    >>> [middle_offsets(6, reach) for reach in (0, 1 / 4, 1 / 2)]
    [[3], [2, 3, 4], [1, 2, 3, 4, 5]]
    >>> middle_offsets(5, 0), middle_offsets(2, 1 / 2), middle_offsets(1, 0)
    ([2, 3], [1], [0])
    """
    far = [(abs(offset - scale / 2), offset) for offset in range(1, scale)] or [(0.0, 0)]
    most = max(reach * scale, min(far)[0])
    return [offset for distance, offset in far if distance <= most + 1e-9]
