"""Training-free interpolation along the axial axis: nearest, linear, cubic, cubic B-spline, Lanczos.

Every kernel is a linear operator W on columns of observed sections, evaluated where voxels lie among these
(`SectionGrid.sections_at`). Beyond the first and last section the edge section is repeated. Since x and y are at full
resolution, "bicubic" is the one-dimensional cubic kernel along z.

Missing sections are filled before: the nearest recorded one by `nearest`, and by all other kernels a linear mix of the
recorded ones below and above, as gaps make the places of sections uneven, which kernels of larger reach do not allow.

Sources: R. Keys, IEEE TASSP 29(6), 1981 (cubic convolution); M. Unser, IEEE SPM 16(6), 1999 (B-spline).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vemrecon.errors import unknown
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.short_floats import whole_floats
from vemrecon.volume import SectionGrid

Kernel = Literal["nearest", "linear", "cubic_a-0.75", "cubic_a-0.5", "bspline3", "lanczos3"]

REACH = {"nearest": 1, "linear": 1, "cubic_a-0.75": 2, "cubic_a-0.5": 2, "lanczos3": 3, "bspline3": 16}
"""Observed sections that matter on either side; the B-spline's influence has fallen to 1e-9 there."""


BAND = 32  # rows of W
COLUMNS = 4096  # at once: what is made of them stays in the cache


class Interpolation(Method):
    """One interpolation kernel along z."""

    any_grid: ClassVar[bool] = True
    fills_sections: ClassVar[bool] = True

    def __init__(self, kernel: Kernel = "cubic_a-0.75") -> None:
        super().__init__()
        if kernel not in get_args(Kernel):
            raise unknown("interpolation kernel", kernel, get_args(Kernel))
        self.kernel: Kernel = kernel
        self.tile = TileShape(32, 128, 128, halo=(REACH[kernel], 0, 0))

    def reconstruct(self, tile: Tile) -> Tensor:
        """Interpolate; float64 weights, so that the result does not depend on the tiling."""
        return self._made(interpolation_matrix(self.kernel, tile.observed.shape[2], tile.grid), tile)

    @property
    def continuous(self) -> bool:
        """Yes: a kernel has weights everywhere."""
        return True

    def sections_at(self, tile: Tile, positions: Sequence[float]) -> Tensor:
        """Interpolate at any depth."""
        return self._made(kernel_matrix(self.kernel, np.asarray(positions, float), tile.observed.shape[2]), tile)

    def _made(self, matrix: NDArray[np.float64], tile: Tile) -> Tensor:
        weights = torch.from_numpy(matrix)
        bands = list(_bands(weights))
        weights = weights.to(tile.observed.device)
        z, y, x = tile.observed.shape[2:]
        columns = tile.observed[0, 0].reshape(z, y * x)
        made = columns.new_empty(len(weights), y * x)
        for first in range(0, y * x, COLUMNS):
            part = slice(first, first + COLUMNS)
            exact = columns[:, part].to(torch.float64)
            for rows, taps in bands:
                made[rows, part] = (weights[rows, taps] @ exact[taps]).clamp_(0, 1)
        return made.reshape(1, 1, len(weights), y, x)

    def inpaint(self, volume: Tensor, sections: Sequence[int]) -> Tensor:
        """Listed sections of (z, y, x) from the nearest others; these are repeated beyond the first and last."""
        recorded = np.setdiff1d(np.arange(len(volume)), sections)
        places = np.interp(sections, recorded, np.arange(len(recorded)))
        weights = kernel_matrix("nearest" if self.kernel == "nearest" else "linear", places, len(recorded))
        filled = volume.clone()
        for section, taps in zip(sections, weights, strict=True):
            near = taps.nonzero()[0]
            exact = sum(float(taps[k]) * volume[int(recorded[k])].to(torch.float64) for k in near)
            filled[section] = exact
        return filled


def _bands(weights: Tensor) -> Iterator[tuple[slice, slice]]:
    """Neighbouring rows of W, and the sections that matter for them."""
    for first in range(0, len(weights), BAND):
        rows = slice(first, first + BAND)
        matter = weights[rows].any(dim=0).nonzero().flatten().tolist()
        yield rows, slice(matter[0], matter[-1] + 1)


@lru_cache(maxsize=64)
def interpolation_matrix(kernel: Kernel, sections: int, grid: SectionGrid) -> NDArray[np.float64]:
    """Weights W, shape (grid.extent(sections), sections); rows sum to 1, taps outside fall on the edge sections."""
    return kernel_matrix(kernel, grid.sections_at(np.arange(grid.extent(sections))), sections)


def interpolated(observed: Tensor, grid: SectionGrid, kernel: Kernel = "linear") -> Tensor:
    """Sections interpolated to where voxels lie, so that they are in register with the truth.

    Args:
        observed: Shape (b, c, sections, ...), as tiles and batches are.
        grid: Where the sections lie: that of the tile, or what the constructor was given.
        kernel: Of the interpolation.

    Returns:
        Shape (b, c, grid.extent(sections), ...); kernels of negative weights go beyond [0, 1].
    """
    b, c, sections, *rest = observed.shape
    weights = torch.from_numpy(interpolation_matrix(kernel, sections, grid)).to(observed)
    with whole_floats(observed.device):
        made = weights @ observed.reshape(b, c, sections, -1)
    return made.reshape(b, c, len(weights), *rest)


def kernel_matrix(kernel: Kernel, u: NDArray[np.float64], sections: int) -> NDArray[np.float64]:
    """Weights of sections at any places u among them, counted in sections: shape (len(u), sections)."""
    if kernel == "bspline3":
        return _bspline_matrix(u, sections)
    if kernel == "nearest":
        taps = np.floor(u + 0.5)[:, None]  # a tie goes to the later section
        weights = np.ones_like(taps)
    else:
        taps = np.floor(u)[:, None] + np.arange(1 - REACH[kernel], REACH[kernel] + 1)
        weights = _kernel_weights(kernel, u[:, None] - taps)
        weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(u), sections))
    np.add.at(matrix, (np.arange(len(u))[:, None], np.clip(taps, 0, sections - 1).astype(int)), weights)
    return matrix


def _kernel_weights(kernel: Kernel, t: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.abs(t)
    if kernel == "linear":
        return np.clip(1 - t, 0, None)
    if kernel == "lanczos3":
        return np.where(t < 3, np.sinc(t) * np.sinc(t / 3), 0.0)
    a = -0.75 if kernel == "cubic_a-0.75" else -0.5
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _bspline_matrix(u: NDArray[np.float64], sections: int) -> NDArray[np.float64]:
    """Interpolating cubic B-spline of the sequence continued by its edge sections: response to unit impulses."""
    from scipy.ndimage import map_coordinates

    impulses = np.eye(sections)
    columns = [map_coordinates(impulse, [u], order=3, mode="nearest", prefilter=True) for impulse in impulses]
    return np.stack(columns, axis=1)
