"""`Canonical`: the one set of Gaussians of a bundle, before it is deformed for a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.methods.emgauss.splats import Splats

SMALLEST = 0.1  # pixels; scales shrink to hide Gaussians, down to what is not finite any more
LARGEST = 1 / 4  # of the longer side


@dataclass(frozen=True)
class Deltas:
    """What a deformation adds at one time: pixels, logarithms of scales, logits of opacities, radians.

    Each of shape (n, 2), (n, 2), (n,) and (n,), or 0 where it adds nothing.
    """

    means: Tensor | float = 0.0
    scales: Tensor | float = 0.0
    opacities: Tensor | float = 0.0
    rotations: Tensor | float = 0.0


class Canonical(nn.Module):
    """Raw parameters of the Gaussians; every one of them has a row for each Gaussian.

    Args:
        means: Centres (x, y) in pixels, shape (n, 2).
        scale: Standard deviation of all of them in pixels.
        opacity: Of all of them, in (0, 1).
        greys: Grey values, shape (n, 1).
        side: Longer side of the sections in pixels.
        frames: Number of key frames of the opacity; 0 for none.
    """

    def __init__(self, means: Tensor, scale: float, opacity: float, greys: Tensor, side: int, frames: int = 0) -> None:
        super().__init__()
        n = len(means)
        self.side = side
        self.means = nn.Parameter(means)
        self.scales = nn.Parameter(means.new_full((n, 2), math.log(scale)))
        self.rotations = nn.Parameter(means.new_zeros(n))
        self.opacities = nn.Parameter(means.new_full((n,), math.log(opacity / (1 - opacity))))
        self.greys = nn.Parameter(greys)
        if frames:
            self.frames = nn.Parameter(means.new_zeros(n, frames))

    def __len__(self) -> int:
        return len(self.means)

    def splats(self, deltas: Deltas, *, learn: bool = True) -> Splats:
        """The Gaussians at one time.

        Args:
            deltas: Of the deformation.
            learn: Whether gradients reach the parameters; those of the deltas always pass.
        """
        means, scales, rotations, opacities, greys = (
            parameter if learn else parameter.detach()
            for parameter in (self.means, self.scales, self.rotations, self.opacities, self.greys)
        )
        return Splats(
            means + deltas.means,
            (scales + deltas.scales).clamp(*self.scale_range).exp(),
            rotations + deltas.rotations,
            torch.sigmoid(opacities + deltas.opacities),
            greys,
        )

    @property
    def scale_range(self) -> tuple[float, float]:
        """Smallest and largest logarithm of a scale."""
        return math.log(SMALLEST), math.log(max(self.side * LARGEST, 2 * SMALLEST))

    @torch.no_grad()
    def clamp_scales(self) -> None:
        """Bring scales back into their range; outside of it they would get no gradient any more."""
        self.scales.clamp_(*self.scale_range)


def canonical_grid(
    sections: Tensor, per_pixel: float, mode: str, background: float, rng: np.random.Generator, frames: int = 0
) -> Canonical:
    """Gaussians on a jittered grid, with the grey values of the mean section.

    Args:
        sections: Observed, shape (n, y, x).
        per_pixel: Gaussians per pixel.
        mode: Of the renderer.
        background: Grey value behind them, from which additive grey values are counted.
        rng: Of the jitter.
        frames: See `Canonical`.
    """
    rows, columns = sections.shape[1:]
    spacing = per_pixel**-0.5
    down, across = (max(1, round(n / spacing)) for n in (rows, columns))
    jitter = rng.uniform(-0.25, 0.25, (2, down, across))
    y = (np.arange(down)[:, None] + 0.5 + jitter[0]) * (rows / down)
    x = (np.arange(across) + 0.5 + jitter[1]) * (columns / across)
    means = torch.from_numpy(np.stack([x.ravel(), y.ravel()], axis=1)).to(sections)
    scale = 0.6 * spacing
    sampled = _sampled(_blurred(sections.mean(dim=0), 0.5 * spacing), means)[:, None]
    if mode == "alpha":
        return Canonical(means, scale, 0.5, sampled, max(rows, columns), frames)
    opacity = min(max(spacing**2 / (2 * math.pi * scale**2), 0.05), 0.95)  # the sum over a grid is then 1
    return Canonical(means, scale, opacity, sampled - background, max(rows, columns), frames)


def _blurred(section: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; edge pixels are repeated."""
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(section) / sigma) ** 2)
    weights = weights / weights.sum()
    padded = F.pad(section[None, None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, weights[None, None, None]), weights[None, None, :, None])[0, 0]


def _sampled(section: Tensor, means: Tensor) -> Tensor:
    """Bilinear values of a section (y, x) at positions (n, 2) in pixels, shape (n,)."""
    size = section.new_tensor(section.shape[::-1])
    grid = (2 * means / size - 1)[None, None]  # (1, 1, n, 2)
    return F.grid_sample(section[None, None], grid, align_corners=False, padding_mode="border")[0, 0, 0]
