"""One-dimensional windows of the structural similarity and of low-passes, applied as products with banded matrices.

A dense product does more arithmetic than a convolution, but inside the cache it runs at the full speed of the processor
and is several times faster; the matrices stay small because long axes are cut into chunks.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

CHUNK = 48  # outputs per product; larger matrices waste arithmetic on zeros, smaller ones start too many products


CUT = 4
"""Standard deviations at which Gaussians of low-passes are cut, as in `scipy.ndimage.gaussian_filter`."""


@lru_cache(maxsize=32)
def window(name: str) -> Tensor:
    """Weights of a named window, float64, sum 1.

    `gaussian11` and `gaussian5` have sigma 1.5, `uniform7` is constant; `sigma1` and `sigma2` are Gaussians with
    standard deviations of as many voxels, cut at four of them: 9 and 17 taps.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, section III-B.
    """
    number = int("".join(filter(str.isdigit, name)))
    sigma, taps = (number, 2 * CUT * number + 1) if name.startswith("sigma") else (1.5, number)
    offsets = torch.arange(taps, dtype=torch.float64) - taps // 2
    weights = torch.ones_like(offsets) if name.startswith("uniform") else torch.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


@lru_cache(maxsize=256)
def band(name: str, centres: tuple[int, int], inputs: tuple[int, int], mirror: tuple[int, int] | None = None) -> Tensor:
    """Matrix that applies a window at a run of centres, shape (centres, inputs), float64.

    Args:
        name: Name of the window.
        centres: Half-open run of window centres.
        inputs: Half-open run of samples that are at hand.
        mirror: Half-open extent of the section; taps beyond it are reflected without repeating the edge sample. None if
            all windows lie inside.
    """
    weights = window(name)
    radius = len(weights) // 2
    matrix = torch.zeros(max(centres[1] - centres[0], 0), inputs[1] - inputs[0], dtype=torch.float64)
    for row, centre in enumerate(range(*centres)):
        for tap, weight in enumerate(weights.tolist()):
            at = centre + tap - radius
            if mirror is not None:
                at = 2 * mirror[0] - at if at < mirror[0] else at
                at = 2 * (mirror[1] - 1) - at if at >= mirror[1] else at
            matrix[row, at - inputs[0]] += weight
    return matrix


def apply_band(values: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """Multiply a matrix (outputs, inputs) onto one axis of a tensor, counted from the end (-1 is the last)."""
    if axis == -1:
        return values @ matrix.T
    before, after = values.shape[:axis], values.shape[axis + 1 :]
    flat = values.reshape(-1, values.shape[axis], after.numel())
    return torch.bmm(matrix.expand(len(flat), *matrix.shape), flat).reshape(*before, len(matrix), *after)


def smooth(values: Tensor, name: str, axes: tuple[int, ...], *, reflect: bool = False) -> Tensor:
    """Apply a window along several axes of a tensor of any size.

    Args:
        values: Any shape, float64.
        name: Name of the window.
        axes: Negative axis numbers.
        reflect: Mirror the borders and keep the length, instead of keeping only windows that lie inside.
    """
    radius = len(window(name)) // 2
    for axis in axes:
        n = values.shape[axis]
        first, last = (0, n) if reflect else (radius, n - radius)
        parts = []
        for start in range(first, last, CHUNK):
            stop = min(start + CHUNK, last)
            low, high = max(start - radius, 0), min(stop + radius, n)
            # Counted from `low`, so that all inner chunks share one matrix.
            edge = (-low, n - low) if reflect and (low == 0 or high == n) else None
            matrix = band(name, (start - low, stop - low), (0, high - low), edge)
            parts.append(apply_band(values.narrow(axis, low, high - low), matrix, axis))
        values = torch.cat(parts, dim=axis)
    return values
