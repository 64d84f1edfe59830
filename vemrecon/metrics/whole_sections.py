"""`WholeSectionMetric`: base of the metrics that cannot be put together from tiles of a section."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.metrics.sections import SectionMetric
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region

ALL_PLANES = (*NORMALS, "volume")


class WholeSectionMetric(SectionMetric):
    """One value per section, which is added once and whole.

    Args:
        scopes: Regions to score.
        planes: What to score out of xy, xz, yz and volume.
    """

    shortest: int
    """Shortest side of a section, in voxels."""
    volumes: bool = False
    """Whether there is a three-dimensional form."""
    one_by_one: bool = False
    """Whether one call of `compare` may take all threads, because several at once would take too much memory."""

    def __init__(self, scopes: Sequence[Region], planes: Collection[str] = ALL_PLANES, **options: Any) -> None:
        super().__init__(scopes, **options)
        self.planes = tuple(plane for plane in ALL_PLANES if plane in planes)

    @abstractmethod
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Values of a batch of sections, or of volumes, shape (n,).

        Args:
            a: Grey levels, shape (n, rows, columns), or (n, z, y, x) for volumes.
            b: The same shape.
        """

    def defined(self, i: int, plane: str) -> bool:
        """Whether a plane (or the volume) is asked for and the sections of a scope are large enough."""
        sides = [n for axis, n in enumerate(self.scopes[i].shape) if axis != NORMALS.get(plane)]
        return plane in self.planes and min(sides) >= self.shortest and (plane != "volume" or self.volumes)

    def update(self, i: int, plane: str, first: int, values: Tensor) -> None:
        """Add what `compare` found.

        Args:
            i: Index of the scope.
            plane: xy, xz, yz or volume.
            first: Index of the first section inside the scope.
            values: One per section, or one of a volume, shape (n,).
        """
        sums = getattr(self, f"{plane}_{i}")
        sums[0, first : first + len(values)] += values
        sums[1, first : first + len(values)] += 1

    def means(self, i: int, plane: str) -> Tensor:
        """Value per section (one number for `volume`); empty if a side is too short."""
        sums, counts = getattr(self, f"{plane}_{i}")
        if not self.defined(i, plane) or (plane == "volume" and not bool(counts.any())):
            return torch.zeros(0, dtype=torch.float64)
        if bool((counts != 1).any()):
            raise DataError(f"{type(self).__name__}: the sections of {self.scopes[i]} were not added exactly once")
        return sums / counts

    def per_section(self) -> list[dict[str, Tensor]]:
        """Per scope: values per section of the planes asked for, and one for the volume if there is such a form."""
        planes = [plane for plane in self.planes if plane != "volume" or self.volumes]
        return [{plane: self.means(i, plane) for plane in planes} for i in range(len(self.scopes))]
