"""The definition of a rendered section, every Gaussian at every pixel: slow, but what all renderers are compared with.

Source: 3DGS (Kerbl et al., "3D Gaussian splatting for real-time radiance field rendering", SIGGRAPH 2023), in a plane.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vemrecon.methods.emgauss.splats import MOST_OPAQUE, Splats, check_mode, conics_of


def render_dense(
    splats: Splats,
    background: Tensor,
    size: tuple[int, int],
    *,
    mode: str = "alpha",
    eps2d: float = 0.0,
    cut: float = 0.0,
    stop: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Render one section.

    Args:
        splats: Gaussians, in the type that is computed in.
        background: Grey value behind all of them, shape (c,).
        size: Rows and columns.
        mode: `alpha` (front to back) or `additive`.
        eps2d: Added to the diagonal of the covariances, in square pixels of the result.
        cut: Samples below this opacity are skipped.
        stop: A pixel ends before the Gaussian that would bring its transmittance to this or below; alpha only.

    Returns:
        Section of shape (c, rows, columns), not clipped, and the accumulated opacity, shape (rows, columns).
    """
    check_mode(mode)
    y, x = (torch.arange(n, dtype=background.dtype, device=background.device) + 0.5 for n in size)
    dx = x - splats.means[:, 0, None, None]  # (n, 1, columns)
    dy = y[:, None] - splats.means[:, 1, None, None]  # (n, rows, 1)
    a, b, c = conics_of(splats.covariances(eps2d))[..., None, None].unbind(1)
    samples = splats.opacities[:, None, None] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
    samples = samples * (samples >= cut)  # (n, rows, columns)
    if mode == "additive":
        return background[:, None, None] + torch.einsum("nc,nhw->chw", splats.greys, samples), samples.sum(dim=0)
    alpha = samples.clamp(max=MOST_OPAQUE)
    if stop:
        alpha = alpha * (torch.cumprod(1 - alpha, dim=0) > stop)
    behind = torch.cumprod(1 - alpha, dim=0)
    before = torch.cat([torch.ones_like(behind[:1]), behind[:-1]]) if len(splats) else behind
    left = behind[-1] if len(splats) else torch.ones(size, dtype=background.dtype, device=background.device)
    section = torch.einsum("nc,nhw->chw", splats.greys, alpha * before) + background[:, None, None] * left
    return section, 1 - left
