"""Spectra of two volumes, folded onto non-negative frequencies, and their sums over shells and cones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import rfftn
from scipy.signal import windows
from torch import Tensor

from vemrecon.errors import DataError, unknown
from vemrecon.volume.region import Region, Triple, triple
from vemrecon.volume.voxels import VoxelSize

TAPERS = ("hann", "none")
CONE_DEGREES = 20.0  # half angle: wide enough for ten frequencies in the third shell, narrow enough to tell axes apart
EDGE_LIMIT = 320  # a transform of 320^3 voxels needs about 1 GB
MOST_BLOCKS = 64  # beyond, the mean resolution hardly changes and the transforms take hours


@dataclass(frozen=True)
class FrequencyGrid:
    """Non-negative frequencies of a block, each standing for all its sign combinations."""

    radius: NDArray[np.float64]
    """Distance from the origin in 1/nm, shape (nz // 2 + 1, ny // 2 + 1, nx // 2 + 1)."""
    cone: NDArray[np.int64]
    """1, 2 or 3 inside the cone around z, y or x, else 0."""
    multiplicity: NDArray[np.float64]
    """How many frequencies of the full transform each one stands for: 1, 2, 4 or 8."""


@lru_cache(maxsize=2)
def frequency_grid(shape: Triple, voxel_size: VoxelSize) -> FrequencyGrid:
    """Frequencies of a block of this shape in 1/nm."""
    axes = np.ix_(*(np.fft.rfftfreq(n, edge) for n, edge in zip(shape, voxel_size, strict=True)))
    radius = np.sqrt(axes[0] ** 2 + axes[1] ** 2 + axes[2] ** 2)
    cone = np.zeros(radius.shape, np.int64)
    with np.errstate(invalid="ignore"):
        for number, along in enumerate(axes, start=1):
            cone[along / radius >= np.cos(np.deg2rad(CONE_DEGREES))] = number
    signs = np.ix_(*(_sign_count(n) for n in shape))
    return FrequencyGrid(radius, cone, signs[0] * signs[1] * signs[2])


def _sign_count(n: int) -> NDArray[np.float64]:
    count = np.full(n // 2 + 1, 2.0)
    count[0] = 1
    if n % 2 == 0:
        count[-1] = 1  # the Nyquist frequency is its own mirror image
    return count


def folded_spectra(a: Tensor, b: Tensor, taper: str) -> NDArray[np.float64]:
    """`Re(A conj B)`, `|A|^2` and `|B|^2`, summed over the signs of the frequency.

    The mean is subtracted, the taper multiplied, the transform taken in float64. Real input has a symmetric spectrum,
    so half of it is computed; shells and cones do not depend on signs, so all octants fold onto one.

    Args:
        a: Grey levels, shape (z, y, x).
        b: The same shape.
        taper: `hann` (symmetric, zero at both ends, along every axis) or `none`.

    Returns:
        Shape (3, nz // 2 + 1, ny // 2 + 1, nx // 2 + 1).
    """
    if a.shape != b.shape:
        raise DataError(f"spectra need two volumes of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    shape = triple(a.shape)
    spectrum_a, spectrum_b = _transform(a, taper), _transform(b, taper)
    nz, ny, nx = shape
    folded = torch.empty((3, nz // 2 + 1, ny // 2 + 1, nx // 2 + 1), dtype=torch.float64)
    for low, high in _runs(nz):
        powers = _products(spectrum_a[low:high], spectrum_b[low:high])  # (3, k, y, x)
        if low > 0 and high <= (nz + 1) // 2:
            mirrored = slice(nz - high + 1, nz - low + 1)
            powers += _products(spectrum_a[mirrored], spectrum_b[mirrored]).flip(1)
        folded[:, low:high] = powers[:, :, : ny // 2 + 1]
        folded[:, low:high, 1 : (ny + 1) // 2] += powers[:, :, ny // 2 + 1 :].flip(2)
    folded[..., 1 : (nx + 1) // 2] *= 2
    return folded.numpy()


def taper_weights(n: int, taper: str) -> Tensor:
    """What `n` voxels of an axis are multiplied by before a transform, shape (n,), float64.

    Raises:
        ConfigError: If there is no taper of this name.
    """
    if taper not in TAPERS:
        raise unknown("taper", taper, TAPERS)
    return torch.from_numpy(windows.hann(n, sym=True)) if taper == "hann" else torch.ones(n, dtype=torch.float64)


def taper_energy(shape: Sequence[int], taper: str) -> float:
    """Sum of the squared taper over all voxels: white noise of standard deviation s has a mean `|F|^2` of s^2 times it.

    >>> taper_energy((4, 4, 4), "none")
    64.0
    """
    return math.prod(float(taper_weights(n, taper).square().sum()) for n in shape)


def _transform(volume: Tensor, taper: str) -> Tensor:
    mean = volume.sum(dtype=torch.float64) / volume.numel()
    z, y, x = (taper_weights(n, taper) for n in volume.shape)
    section_weights = y[:, None] * x
    values = torch.empty(volume.shape, dtype=torch.float64)
    for k in range(0, len(z), 16):  # a few sections at a time, without copies of the volume
        part = slice(k, k + 16)
        torch.sub(volume[part], mean, out=values[part]).mul_(section_weights).mul_(z[part, None, None])
    # that of scipy takes little more than half as long as that of torch
    return torch.from_numpy(rfftn(values.numpy(), overwrite_x=True, workers=torch.get_num_threads()))


def _runs(n: int, most: int = 16) -> Iterator[tuple[int, int]]:
    """Runs of non-negative frequencies that either have a mirror image (0 < k < n / 2) or have none."""
    yield 0, 1
    inner = (n + 1) // 2
    for low in range(1, inner, most):
        yield low, min(low + most, inner)
    if n % 2 == 0:
        yield n // 2, n // 2 + 1


def _products(a: Tensor, b: Tensor) -> Tensor:
    ar, ai, br, bi = a.real, a.imag, b.real, b.imag
    return torch.stack([(ar * br).addcmul_(ai, bi), (ar * ar).addcmul_(ai, ai), (br * br).addcmul_(bi, bi)])


def sums_by_label(folded: NDArray[np.float64], labels: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Sum folded quantities (k, z, y, x) over the frequencies of every label; shape (k, count)."""
    flat = labels.ravel()
    return np.stack([np.bincount(flat, weights=part.ravel(), minlength=count) for part in folded])


def spectral_blocks(region: Region, limit: int = EDGE_LIMIT, most: int = MOST_BLOCKS) -> list[Region]:
    """Blocks on which spectra are computed, so that memory does not grow with the volume.

    Every axis longer than `limit` is cut into the fewest equal parts that are not longer; left-over voxels (fewer than
    the number of parts) are shared out at both ends. All blocks have one shape. If there are more than `most`, evenly
    spread positions are kept, thinning the axis with most positions first.

    >>> [block.shape for block in spectral_blocks(Region((0, 0, 0), (640, 100, 320)))]
    [(320, 100, 320), (320, 100, 320)]
    """
    parts = [-(-n // limit) for n in region.shape]
    size = [n // k for n, k in zip(region.shape, parts, strict=True)]
    first = [a + (n - k * s) // 2 for a, n, k, s in zip(region.start, region.shape, parts, size, strict=True)]
    keep = list(parts)
    while keep[0] * keep[1] * keep[2] > most:
        keep[keep.index(max(keep))] -= 1
    starts = [
        [a + s * int(i) for i in np.linspace(0, k - 1, kept).round()]
        for a, s, k, kept in zip(first, size, parts, keep, strict=True)
    ]
    return [
        Region((z, y, x), (z + size[0], y + size[1], x + size[2]))
        for z in starts[0]
        for y in starts[1]
        for x in starts[2]
    ]
