"""Gaussian blur of a volume along its three axes, some rows at a time, so that what is computed stays in the cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vemrecon.degradations.degradation import Float32

Float64 = NDArray[np.float64]
VOXELS = 1 << 15
"""Of a section at once."""


def blurred(volume: Float32, sigmas: Sequence[float], radii: Sequence[int]) -> Float32:
    """The volume blurred along z, then y, then x, in float64; it is reflected at its faces without repeating the edge.

    Sums are taken in the order of `scipy.ndimage.gaussian_filter1d` (mode `mirror`), so that every bit is as there.

    Args:
        volume: Shape (z, y, x).
        sigmas: Standard deviation along each axis, in voxels.
        radii: Reach along each axis, in voxels; 0 for no blur.
    """
    from scipy.ndimage import correlate1d

    z, y, x = (_kernel(sigma, radius) for sigma, radius in zip(sigmas, radii, strict=True))
    sections, rows = (_mirrored(n, radius) for n, radius in zip(volume.shape[:2], radii[:2], strict=True))
    lines = np.concatenate([x[:0:-1], x])
    made, step = np.empty_like(volume), max(1, VOXELS // volume.shape[2])
    for first in range(0, volume.shape[1], step):
        stop = min(volume.shape[1], first + step)
        part = np.empty((len(volume), stop - first + 2 * radii[1], volume.shape[2]))
        part[...] = volume[:, rows[first : stop + 2 * radii[1]]]
        for k in range(len(volume)):
            section = _weighted([part[n] for n in sections[k : k + 2 * radii[0] + 1]], z)
            section = _weighted([section[n : n + stop - first] for n in range(2 * radii[1] + 1)], y)
            made[k, first:stop] = correlate1d(section, lines, axis=1, mode="mirror")
    return made


def _kernel(sigma: float, radius: int) -> Float64:
    """Weights at distances of 0 to `radius`; those of the whole kernel sum to 1."""
    if radius == 0:
        return np.ones(1)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    return (weights / weights.sum())[radius:]


def _mirrored(n: int, radius: int) -> NDArray[np.intp]:
    """Which of n voxels stands at each place from -radius to n + radius - 1."""
    period = max(1, 2 * (n - 1))
    places = np.arange(-radius, n + radius) % period
    return np.minimum(places, period - places) if n > 1 else np.zeros_like(places)


def _weighted(around: Sequence[Float64], weights: Float64) -> Float64:
    """Sum of arrays, the farthest ones first."""
    middle = len(weights) - 1
    total = around[middle] * weights[0]
    pair = np.empty_like(total)
    for k in range(middle, 0, -1):
        np.add(around[middle - k], around[middle + k], out=pair)
        pair *= weights[k]
        total += pair
    return total
