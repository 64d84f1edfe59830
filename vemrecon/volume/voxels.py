"""`VoxelSize`: the physical size of a voxel travels with every volume."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vemrecon.errors import DataError

TOLERANCE = 0.01


@dataclass(frozen=True)
class VoxelSize:
    """Edge lengths of a voxel in nanometres, in z, y, x order.

    >>> VoxelSize(40, 4, 4).anisotropy
    10.0
    """

    z: float
    y: float
    x: float

    def __post_init__(self) -> None:
        for axis, edge in zip("zyx", self, strict=True):
            object.__setattr__(self, axis, float(edge))
        if not all(math.isfinite(edge) and edge > 0 for edge in self):
            raise DataError(f"voxel size must be positive in every axis, got {tuple(self)} nm (z, y, x)")

    def __iter__(self) -> Iterator[float]:
        return iter((self.z, self.y, self.x))

    def __str__(self) -> str:
        return " x ".join(f"{edge:g}" for edge in self) + " nm"

    @property
    def square(self) -> bool:
        """Whether y and x differ by no more than 1 %."""
        return max(self.y, self.x) / min(self.y, self.x) - 1 <= TOLERANCE

    @property
    def anisotropy(self) -> float:
        """Axial over lateral edge; 1 means isotropic.

        Raises:
            DataError: If y and x differ, as there is no one lateral edge then.
        """
        if not self.square:
            raise DataError(f"voxels of {self} have no anisotropy: y and x differ; make pixels square, --square-pixels")
        return self.z / (0.5 * (self.y + self.x))

    def close_to(self, other: VoxelSize) -> bool:
        """Whether no edge differs by more than 1 %, as rounded sizes do."""
        return all(abs(a / b - 1) <= TOLERANCE for a, b in zip(self, other, strict=True))

    def scaled(self, axis: int, factor: float) -> VoxelSize:
        """The voxel size with one edge multiplied by a factor (coarser for factors above 1)."""
        edges = list(self)
        edges[axis] *= factor
        return VoxelSize(*edges)
