"""Fourier shell correlation in all directions and in cones around the axes, and the resolution read from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from vemrecon.metrics.spectrum import frequency_grid, sums_by_label
from vemrecon.volume.region import Triple
from vemrecon.volume.voxels import VoxelSize

DIRECTIONS = ("all", "z", "y", "x")
FEWEST = 10  # shells with fewer frequencies are noise
THRESHOLD = 0.5


@dataclass(frozen=True)
class Shells:
    """Which shell and cone every folded frequency belongs to."""

    width: float
    """In 1/nm; shell k is centred at k times the width."""
    number: int
    """Shells 1..number reach up to the Nyquist frequency of the coarsest axis."""
    labels: NDArray[np.int64]
    """`cone * (number + 1) + shell`, with shell 0 for what belongs to none."""
    counts: NDArray[np.float64]
    """Frequencies of the full transform per direction and shell, shape (4, number)."""


@lru_cache(maxsize=2)
def shells(shape: Triple, voxel_size: VoxelSize) -> Shells:
    """Shells of a block: width `1 / min(n_i voxel_i)`, up to the coarsest Nyquist frequency.

    Source: metrics.md, section 3, items 3 and 4.
    """
    grid = frequency_grid(shape, voxel_size)
    width = 1.0 / min(n * edge for n, edge in zip(shape, voxel_size, strict=True))
    number = int(np.floor(0.5 / max(voxel_size) / width + 1e-9))
    shell = np.floor(grid.radius / width + 0.5).astype(np.int64)
    shell[shell > number] = 0
    labels = grid.cone * (number + 1) + shell
    return Shells(width, number, labels, _by_direction(grid.multiplicity[None], labels, number)[0])


def _by_direction(folded: NDArray[np.float64], labels: NDArray[np.int64], number: int) -> NDArray[np.float64]:
    """Sums per direction and shell, shape (k, 4, number); cones do not overlap, so `all` is the sum of everything."""
    sums = sums_by_label(folded, labels, 4 * (number + 1)).reshape(len(folded), 4, number + 1)
    sums[:, 0] = sums.sum(axis=1)
    return sums[:, :, 1:]


@dataclass(frozen=True)
class ShellCurve:
    """Correlation per shell in one direction."""

    frequency: NDArray[np.float64]
    """Nominal shell frequencies in 1/nm."""
    correlation: NDArray[np.float64]
    """In [-1, 1]; 0 where not valid."""
    valid: NDArray[np.bool_]
    """Shells with at least ten frequencies and some power in both volumes."""

    def resolution(self) -> tuple[float | None, str]:
        """FSC-0.5 resolution in nm and a flag.

        `crossing`: interpolated where the curve first falls below 0.5; `no_crossing`: it never does, the value is the
        last shell and an upper bound; `below_at_first_shell`: the value is the first shell and a lower bound;
        `no_shell`: None, for lack of frequencies or of power (a constant volume).
        """
        k = np.flatnonzero(self.valid)
        if not len(k):
            return None, "no_shell"
        frequency, curve = self.frequency[k], self.correlation[k]
        below = np.flatnonzero(curve < THRESHOLD)
        if not len(below):
            return float(1 / frequency[-1]), "no_crossing"
        i = int(below[0])
        if i == 0:
            return float(1 / frequency[0]), "below_at_first_shell"
        share = (curve[i - 1] - THRESHOLD) / (curve[i - 1] - curve[i])
        return float(1 / (frequency[i - 1] + share * (frequency[i] - frequency[i - 1]))), "crossing"

    def points(self) -> dict[str, list[float | None]]:
        """Frequencies and values as plain lists, None where a shell is not valid."""
        values = [float(v) if ok else None for v, ok in zip(self.correlation, self.valid, strict=True)]
        return {"frequency": self.frequency.tolist(), "value": values}


class FourierShellCorrelation(Metric):
    """FSC of one or several blocks of one shape; every block fills its own slot, so states are sums over processes.

    Args:
        shape: Shape of a block.
        voxel_size: In nanometres; shells are spheres in 1/nm.
        blocks: Number of blocks.
        taper: `hann` (primary) or `none`.

    Source: metrics.md, section 3; Harauz and van Heel 1986. The threshold 0.5 is that of the compared papers.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    sums: Tensor
    seen: Tensor

    def __init__(
        self, shape: Triple, voxel_size: VoxelSize, blocks: int = 1, taper: str = "hann", **options: Any
    ) -> None:
        super().__init__(**options)
        self.shape, self.voxel_size, self.taper = shape, voxel_size, taper
        number = shells(shape, voxel_size).number
        self.add_state("sums", torch.zeros(blocks, 3, 4, number, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros(blocks, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, folded: NDArray[np.float64], block: int = 0) -> None:
        """Add the spectra of one block, from `folded_spectra` with the taper of this metric."""
        geometry = shells(self.shape, self.voxel_size)
        self.sums[block] += torch.from_numpy(_by_direction(folded, geometry.labels, geometry.number))
        self.seen[block] += 1

    def curves(self) -> list[dict[str, ShellCurve]]:
        """Per block: curve of every direction."""
        geometry = shells(self.shape, self.voxel_size)
        frequency = np.arange(1, geometry.number + 1, dtype=np.float64) * geometry.width
        found = []
        for cross, power_a, power_b in self.sums.numpy():
            power = np.sqrt(power_a * power_b)
            valid = (geometry.counts >= FEWEST) & (power > 0)
            correlation = np.divide(cross, power, out=np.zeros_like(cross), where=valid)
            found.append({name: ShellCurve(frequency, correlation[i], valid[i]) for i, name in enumerate(DIRECTIONS)})
        return found

    def compute(self) -> dict[str, Tensor]:
        """Resolution in nm per direction, one value per block; 0 where there is none."""
        return {
            name: torch.tensor([curve[name].resolution()[0] or 0.0 for curve in self.curves()]) for name in DIRECTIONS
        }
