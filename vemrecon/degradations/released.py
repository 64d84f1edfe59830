"""The blur of the VEMamba release: its Gaussian kernel and its borders. Source: released code of VEMamba as described
in the degradation page.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]


def isotropic_kernel(size: int, sigma: float) -> NDArray[np.float64]:
    """Normalised Gaussian, shape (size, size), centred on index size // 2 (off by half a voxel for even sizes)."""
    offset = np.arange(size) - size // 2
    x, y = offset[None, :], offset[:, None]
    kernel = np.exp(-0.5 * (sigma**-2.0 * x * x + sigma**-2.0 * y * y))
    return kernel / kernel.sum()


def blur(image: Float, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-correlation with reflection padding (the edge is not repeated); an even kernel pads one less at the end."""
    from scipy.signal import correlate

    half = kernel.shape[0] // 2
    far = half if kernel.shape[0] % 2 else half - 1
    padded = np.pad(image.astype(np.float64), [(half, far), (half, far)], mode="reflect")
    return correlate(padded, kernel, mode="valid")
