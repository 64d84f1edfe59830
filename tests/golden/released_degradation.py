"""The degradation operator of the VEMamba release, component by component, on images of 0..255.

Order: blur, resize, noise, round, clamp. Every call in the release switches all of it off, and no command of ours makes
it; it is here because the golden files state each part. Source: released code of VEMamba as described in the
degradation page.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.degradations.released import blur

Float = NDArray[np.floating[Any]]


def anisotropic_kernel(size: int, sigma_1: float, sigma_2: float, degrees: float) -> NDArray[np.float64]:
    """Normalised Gaussian with standard deviations along two axes turned by an angle (the first is the column axis)."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = turn @ np.diag([sigma_1**-2.0, sigma_2**-2.0]) @ turn.T
    offset = np.arange(size) - size // 2
    x, y = offset[None, :], offset[:, None]
    exponent = inverse[0, 0] * x * x + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y * y
    kernel = np.exp(-0.5 * exponent)
    return kernel / kernel.sum()


def bicubic_weights(length: int, factor: float) -> NDArray[np.float64]:
    """Matrix of the antialiased cubic resize (a = -0.5) of one axis; shape (floor(length * factor), length).

    Half-pixel centres; support 4 / factor when shrinking; weights renormalised; taps clamped at the borders.
    """
    shrink = min(factor, 1.0)
    width = 4 / shrink
    rows = math.floor(length * factor + 1e-9)  # the release truncates; 49 / 49 is 1
    centre = (np.arange(rows) + 0.5) / factor - 0.5
    taps = np.floor(centre - width / 2)[:, None] + np.arange(math.ceil(width) + 3)
    weight = shrink * keys_cubic((centre[:, None] - taps) * shrink)
    weight /= weight.sum(axis=1, keepdims=True)
    matrix = np.zeros((rows, length))
    np.add.at(matrix, (np.arange(rows)[:, None], np.clip(taps, 0, length - 1).astype(int)), weight)
    return matrix


def keys_cubic(t: Float, a: float = -0.5) -> NDArray[np.float64]:
    """Cubic convolution kernel of Keys with parameter a."""
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def bicubic_resize(image: Float, factor: float) -> NDArray[np.float64]:
    """Resize both axes of an image by a factor (0.25 gives a quarter of the size)."""
    rows, columns = (bicubic_weights(n, factor) for n in image.shape)
    return rows @ image.astype(np.float64) @ columns.T


def released_pipeline(
    image: Float,
    kernel: NDArray[np.float64] | None,
    scale: int = 1,
    mode: str = "bicubic",
    noise: Float | None = None,
) -> NDArray[np.float64]:
    """Blur, shrink both axes by `scale` (`bicubic`, or `s-fold` keeping every scale-th pixel), add noise, round, clamp.

    Args:
        image: Shape (rows, columns), grey levels 0..255.
        kernel: From `isotropic_kernel` or `anisotropic_kernel`; None for no blur.
        scale: 1 leaves the size alone.
        mode: `bicubic` or `s-fold`.
        noise: Drawn noise in grey levels, of the shape of the result.
    """
    result = blur(image, kernel) if kernel is not None else image.astype(np.float64)
    if scale > 1:
        result = bicubic_resize(result, 1 / scale) if mode == "bicubic" else result[::scale, ::scale]
    if noise is not None:
        result = result + noise
    return np.clip(np.rint(result), 0, 255)
