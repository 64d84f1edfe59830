"""Losses that networks learn by: structural similarity of images and volumes, alone and with the absolute error."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vemrecon.errors import DataError

TAPS = 11
SIGMA = 1.5
C1 = 0.01**2  # grey levels lie in [0, 1]
C2 = 0.03**2


@lru_cache(maxsize=64)
def _gaussian_band(length: int, taps: int, sigma: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Matrix that applies a normalised Gaussian window where it fits, shape (length - taps + 1, length)."""
    with torch.inference_mode(False):  # a cached inference tensor could never be trained with
        offsets = torch.arange(taps, dtype=torch.float64) - taps // 2
        weights = torch.exp(-(offsets**2) / (2 * sigma**2))
        matrix = torch.zeros(length - taps + 1, length, dtype=torch.float64)
        for row in range(len(matrix)):
            matrix[row, row : row + taps] = weights / weights.sum()
        return matrix.to(device, dtype)


def _smooth(maps: Tensor, dims: int, taps: int, sigma: float) -> Tensor:
    """Gaussian means along the last `dims` axes; axes shorter than the window stay as they are.

    A product with a banded matrix is faster than a convolution of a single channel, and is exact on every device:
    convolutions may be rounded to fewer bits on a GPU, which variances do not survive.
    """
    for axis in range(-dims, 0):
        if maps.shape[axis] >= taps:
            band = _gaussian_band(maps.shape[axis], taps, sigma, maps.device, maps.dtype)
            maps = maps @ band.T if axis == -1 else (band @ maps.movedim(axis, -2)).movedim(-2, axis)
    return maps


def structural_similarity(
    a: Tensor, b: Tensor, *, dims: int = 2, taps: int = TAPS, sigma: float = SIGMA, reduce: bool = True
) -> Tensor:
    """Differentiable structural similarity, the mean over every place where the window fits.

    Local moments are biased (`E[x^2] - mu^2`); the value is not clamped. An axis shorter than the window is not
    smoothed.

    Args:
        a: Grey levels in [0, 1], not necessarily clamped; shape (..., y, x) or (..., z, y, x).
        b: The same shape.
        dims: 2 compares images along the last two axes, 3 volumes along the last three.
        taps: Length of the Gaussian window.
        sigma: Its standard deviation in voxels.
        reduce: Average over the leading axes as well.

    Returns:
        One number, or one per image or volume, shape of the leading axes. Computed in float32 at least.

    Raises:
        DataError: If the shapes differ.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, equation 13, K = (0.01, 0.03).

    >>> structural_similarity(torch.full((16, 16), 0.5), torch.full((16, 16), 0.5)).item()
    1.0
    """
    if a.shape != b.shape or a.dim() < dims:
        raise DataError(
            f"structural similarity of {dims}D images needs two of the same shape, got {a.shape}, {b.shape}"
        )
    with torch.autocast(a.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        a, b = a.to(dtype), b.to(dtype)
        mean_a, mean_b, squares, product = _smooth(torch.stack([a, b, a * a + b * b, a * b]), dims, taps, sigma)
        brightness = mean_a * mean_a + mean_b * mean_b
        luminance = mean_a * mean_b
        above = (2 * luminance + C1) * (2 * (product - luminance) + C2)
        below = (brightness + C1) * (squares - brightness + C2)
        values = (above / below).mean(dim=tuple(range(-dims, 0)))
        return values.mean() if reduce else values


def ssim_loss(prediction: Tensor, truth: Tensor, *, dims: int = 2) -> Tensor:
    """`1 - SSIM`, one number."""
    return 1 - structural_similarity(prediction, truth, dims=dims)


def l1_ssim_loss(prediction: Tensor, truth: Tensor, *, alpha: float = 1.0, dims: int = 2) -> Tensor:
    """Mean absolute error plus `alpha (1 - SSIM)`.

    Source: IsoVEM, doi:10.1101/2023.11.22.567807 (two-dimensional, alpha 1); VEMamba (three-dimensional).
    """
    return F.l1_loss(prediction, truth) + alpha * ssim_loss(prediction, truth, dims=dims)
