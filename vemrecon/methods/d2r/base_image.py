"""The image that a network's output is added to: what is known before it has learned anything.

Source: AENet adds the mean of the sections (as FLAVR); DGEAN "a traditional deconvolution result", which its paper does
not define: three Richardson-Lucy steps on a linear blend are our reading.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Base = Literal["mean", "linear", "rl", "tconv"]
SMALL = 1e-6


def linear_blend(sections: Tensor, depth: Tensor) -> Tensor:
    """The second and third of (b, 1, 4, y, x), weighted by depth (b,): shape (b, 1, y, x)."""
    return torch.lerp(sections[:, :, 1], sections[:, :, 2], depth[:, None, None, None].to(sections.dtype))


@torch.no_grad()
def richardson_lucy(image: Tensor, steps: int = 3, sigma: float = 1.0, reach: int = 2) -> Tensor:
    """Sharpen by deconvolution with a Gaussian, without gradient.

    `u <- u K(b / (K u + 1e-6))` from u = b.

    Args:
        image: Shape (b, 1, y, x), in [0, 1].
        steps: Iterations.
        sigma: Of the Gaussian in voxels.
        reach: Of its window; y and x must be larger.

    Returns:
        The same shape, clipped to [0, 1].
    """
    offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (weights[:, None] * weights / weights.sum() ** 2)[None, None]

    def blurred(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), kernel)

    sharp = image
    for _ in range(steps):
        sharp = sharp * blurred(image / (blurred(sharp) + SMALL))
    return sharp.clamp(0, 1)
