"""`SectionMetric`: base of the metrics that average over sections in three planes and over the volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from vemrecon.errors import DataError
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, Triple


class SectionMetric(Metric):
    """Sums and counts per section of every plane, and over the volume, for one or several regions at once.

    All states are sums, so that neither the order and shape of the tiles nor the number of processes matters.

    Args:
        scopes: Regions to score, in the coordinates of the tiles; they may overlap.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self, scopes: Sequence[Region], **options: Any) -> None:
        super().__init__(**options)
        self.scopes = tuple(scopes)
        for i, scope in enumerate(self.scopes):
            for plane, axis in NORMALS.items():
                self._add_sums(f"{plane}_{i}", 2, scope.shape[axis])
            self._add_sums(f"volume_{i}", 2, 1)

    def _add_sums(self, name: str, *shape: int) -> None:
        self.add_state(name, default=torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def margins(self, plane: str) -> Triple:
        """Voxels at each border, per axis, that cannot be the centre of a window of this plane."""
        return (0, 0, 0)

    def tally(self, plane: str, values: Tensor, start: Sequence[int], scopes: Sequence[int] | None = None) -> None:
        """Add values, one per window centre, to every scope that they lie in.

        Args:
            plane: xy, xz, yz or volume.
            values: Shape (z, y, x), float64.
            start: Position of the first value.
            scopes: Indices of the scopes to add to; all by default.
        """
        margins = self.margins(plane)
        for i in range(len(self.scopes)) if scopes is None else scopes:
            scope = self.scopes[i]
            low = [max(s, a + m) for s, a, m in zip(start, scope.start, margins, strict=True)]
            high = [min(s + n, b - m) for s, n, b, m in zip(start, values.shape, scope.stop, margins, strict=True)]
            if any(b <= a for a, b in zip(low, high, strict=True)):
                continue
            inside = values[tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))]
            sums = getattr(self, f"{plane}_{i}")
            if plane == "volume":
                sums[0] += inside.sum(dtype=torch.float64)
                sums[1] += inside.numel()
            else:
                axis = NORMALS[plane]
                here = slice(low[axis] - scope.start[axis], high[axis] - scope.start[axis])
                sums[0, here] += inside.sum(dim=[k for k in range(3) if k != axis], dtype=torch.float64)
                sums[1, here] += inside.numel() // inside.shape[axis]

    def means(self, i: int, plane: str) -> Tensor:
        """Mean per section (one number for `volume`); empty if no window fits.

        Raises:
            DataError: If some positions were never or repeatedly seen.
        """
        scope = self.scopes[i]
        room = [n - 2 * m for n, m in zip(scope.shape, self.margins(plane), strict=True)]
        if min(room) <= 0:
            return torch.zeros(0, dtype=torch.float64)
        sums, counts = getattr(self, f"{plane}_{i}")
        expected = room[0] * room[1] * room[2]
        if plane != "volume":
            expected //= room[NORMALS[plane]]
        if bool((counts != expected).any()):
            raise DataError(f"{type(self).__name__}: the tiles do not cover the region {scope} exactly once")
        return sums / counts

    def per_section(self) -> list[dict[str, Tensor]]:
        """Per scope: means per section of xy, xz and yz, and one for the volume; empty where not defined."""
        return [{plane: self.means(i, plane) for plane in (*NORMALS, "volume")} for i in range(len(self.scopes))]

    def compute(self) -> list[dict[str, Tensor]]:
        """The metric, per scope and plane; see `per_section`."""
        return self.per_section()
