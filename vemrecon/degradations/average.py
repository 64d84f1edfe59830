"""`Average`: observed sections are means over slabs of truth sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vemrecon.degradations.degradation import Degradation, Float32
from vemrecon.volume import SectionGrid


@dataclass(frozen=True)
class Average(Degradation):
    """Mean over slabs of `scale` sections; a fractional scale weights the cut sections (exact box integration).

    Source: IsoVEM and VEMamba (block mean); fractional scales integrate the box exactly.
    """

    name: ClassVar[str] = "average"

    @property
    def grid(self) -> SectionGrid:
        """In the middle of their slabs."""
        return SectionGrid.slabs(self.scale)

    def apply(self, truth: Float32, start: int, first: int, last: int, n: int, seed: int) -> Float32:
        """Slab means."""
        if self.scale.is_integer():
            r = int(self.scale)
            slabs = truth[first * r - start : last * r - start].reshape(last - first, r, *truth.shape[1:])
            return slabs.mean(axis=1, dtype=np.float64).astype(np.float32)
        weights = box_weights(self.scale, first, last, start, start + len(truth))
        return np.tensordot(weights, truth, axes=1).astype(np.float32)


def box_weights(scale: float, first: int, last: int, start: int, stop: int) -> NDArray[np.float64]:
    """Overlap of slab k with section i, over the slab's thickness; shape (last - first, stop - start)."""
    low = (np.arange(first, last) * scale)[:, None]
    section = np.arange(start, stop)[None, :]
    overlap = np.minimum(low + scale, section + 1) - np.maximum(low, section)
    return np.asarray(np.clip(overlap, 0, None) / scale, dtype=np.float64)
