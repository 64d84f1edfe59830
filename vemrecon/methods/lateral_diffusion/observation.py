"""`Observation`: how observed sections come from a volume, as a linear operator along z, and back.

Source: null-space methods for inverse problems (Wang et al., "Zero-shot image restoration using denoising diffusion
null-space model", ICLR 2023): A x = y is met by the smallest change of x, with the pseudo-inverse of A. The smooth
change is ours: the smallest one moves kept rows alone, which stand out from their neighbours after a short training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vemrecon.degradations.average import box_weights
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.volume import SectionGrid


@dataclass(frozen=True)
class Observation:
    """Observed sections and the operator that gives them.

    Attributes:
        sections: Shape (k, y, x).
        forward: A, shape (k, n).
        inverse: What A undoes, shape (n, k).
    """

    sections: Tensor
    forward: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, sections: Tensor, grid: SectionGrid, *, smooth: bool = False) -> Observation:
        """Kept rows or means over slabs.

        Args:
            sections: Shape (k, y, x).
            grid: Where sections lie.
            smooth: Whether to meet them by linear interpolation of what is missing, in place of the smallest change.
        """
        forward, inverse = (torch.from_numpy(m).to(sections) for m in _operators(len(sections), grid, smooth))
        return cls(sections, forward, inverse)

    def met(self, volume: Tensor, share: float = 1.0) -> Tensor:
        """A volume (n, y, x) changed so that it gives the observed sections, or by a share of that change."""
        missing = self.sections - torch.tensordot(self.forward, volume, dims=1)
        return volume + share * torch.tensordot(self.inverse, missing, dims=1)


@lru_cache(maxsize=16)
def _operators(count: int, grid: SectionGrid, smooth: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A, and its pseudo-inverse (rows put back, or every slab filled with its mean) or a smooth right inverse."""
    rows = grid.extent(count)
    if grid.thin:
        forward = np.zeros((count, rows))
        forward[np.arange(count), np.rint(grid.positions(count)).astype(int)] = 1
    else:
        forward = box_weights(grid.scale, 0, count, 0, rows)
        forward = forward / forward.sum(axis=1, keepdims=True)  # a last slab may be cut
    if smooth:
        weights = interpolation_matrix("linear", count, grid)
        return forward, weights @ np.linalg.inv(forward @ weights)
    return forward, np.linalg.pinv(forward).astype(np.float64)
