"""Terms of the structural similarity, from maps of two volumes whose local means give them."""

from __future__ import annotations

import torch
from torch import Tensor

from vemrecon.metrics.psnr import DATA_RANGE

C1 = (0.01 * DATA_RANGE) ** 2
C2 = (0.03 * DATA_RANGE) ** 2


def moment_maps(a: Tensor, b: Tensor, raised: float) -> Tensor:
    """The four maps whose local means give every term of the similarity, shape (4, ...), float64.

    With d = (a + b) / sqrt 2 and e = (a - b) / sqrt 2 the maps are d, e, d^2 - e^2 = 2ab and d^2 + e^2 = a^2 + b^2, the
    last two raised by a constant. Windows sum to one, so the constant passes through the smoothing.
    """
    maps = torch.empty((4, *a.shape), dtype=torch.float64)
    a, b = a.to(torch.float64), b.to(torch.float64)
    torch.add(a, b, out=maps[0]).mul_(0.5**0.5)
    torch.sub(a, b, out=maps[1]).mul_(0.5**0.5)
    torch.mul(a, b, out=maps[2]).mul_(2).add_(raised)
    torch.mul(a, a, out=maps[3]).addcmul_(b, b).add_(raised)
    return maps


def similarity_terms(means: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Numerators and denominators (luminance, contrast) of the similarity; overwrites the smoothed maps.

    Returns:
        `2 mu_a mu_b + C1`, `mu_a^2 + mu_b^2 + C1`, `2 s_ab + c`, `s_a^2 + s_b^2 + c`, with the contrast constant c.
    """
    d, e, product, squares = means
    d.square_().add_(C1)
    e.square_()
    luminance = d - e
    d += e
    product -= luminance
    squares -= d
    return luminance, d, product, squares


def similarity(means: Tensor) -> Tensor:
    """Structural similarity at every window centre from smoothed maps (4, ...), which are overwritten."""
    luminance, brightness, contrast, variance = similarity_terms(means)
    return contrast.mul_(luminance).div_(variance.mul_(brightness))
