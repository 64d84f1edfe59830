"""Sections rendered by the package gsplat (Apache-2.0, an optional install) on a CUDA device, front to back only.

It fixes the cut at 1/255 and ends a pixel at a transmittance of 1e-4, so that it agrees with `render_dense` of the same
`cut` and `stop` to about 1e-3, no closer. Written for the calls of gsplat 1.5 and 1.6.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import ConfigError
from vemrecon.methods.emgauss.splats import Splats, conics_of

CUT = 1 / 255
TILE = 16  # pixels; the kernel takes no 8


def gsplat() -> Any:
    """The package.

    Raises:
        ConfigError: If it is missing or cannot be loaded.
    """
    try:
        return importlib.import_module("gsplat")
    except (ImportError, OSError) as error:
        raise ConfigError(f"EMGauss: kernel gsplat needs its package (pip install gsplat): {error}") from error


def render_gsplat(
    splats: Splats, background: Tensor, size: tuple[int, int], *, eps2d: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Render one section; arguments and results as those of `render_dense` in mode `alpha`.

    Raises:
        ConfigError: If the package is missing or the tensors are not on a CUDA device.
    """
    package = gsplat()
    if not background.is_cuda:
        raise ConfigError(f"EMGauss: kernel gsplat runs on CUDA, not on {background.device}; use kernel: torch")
    rows, columns = (-(-n // TILE) for n in size)
    covariances = splats.covariances(eps2d)
    with torch.no_grad():
        # as far as the opacity stays above the cut; 0 leaves a Gaussian out
        reach = (2 * torch.log(splats.opacities / CUT)).clamp_min(0)[:, None].sqrt() * covariances[:, ::2].sqrt()
        depths = torch.arange(1, len(splats) + 1, dtype=torch.float32, device=background.device)
        means, radii = splats.means.detach()[None], reach.ceil().int()[None]
        _, pairs, owners = package.isect_tiles(means, radii, depths[None], TILE, columns, rows)
        offsets = package.isect_offset_encode(pairs, 1, columns, rows)
    section, opacity = package.rasterize_to_pixels(
        splats.means[None], conics_of(covariances)[None], splats.greys[None], splats.opacities[None],
        size[1], size[0], TILE, offsets, owners, backgrounds=background[None],
    )  # fmt: skip
    return section[0].permute(2, 0, 1), opacity[0, ..., 0]
