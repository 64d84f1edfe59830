"""`Splats`: the 2D Gaussians of one section, as every renderer takes them.

Positions are in pixels of the section, x along columns and y down rows; the pixel in row i and column j is sampled at
(j + 0.5, i + 0.5). Index order is depth order, index 0 in front.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vemrecon.errors import unknown

MODES = ("alpha", "additive")
"""How Gaussians add up: each one hides a share of those behind it, or all are summed."""
MOST_OPAQUE = 0.99  # a sample that hid everything would leave no gradient behind it


@dataclass(frozen=True)
class Splats:
    """Gaussians with everything that depends on time worked in.

    Attributes:
        means: Centres (x, y) in pixels, shape (n, 2).
        scales: Standard deviations along both main axes in pixels, shape (n, 2).
        rotations: Angle of the first main axis, from x towards y, in radians, shape (n,).
        opacities: In (0, 1), shape (n,).
        greys: Grey values, one column per channel, shape (n, c).
    """

    means: Tensor
    scales: Tensor
    rotations: Tensor
    opacities: Tensor
    greys: Tensor

    def __len__(self) -> int:
        return len(self.means)

    def zoomed(self, factor: float) -> Splats:
        """The same Gaussians for a section of `factor` times as many rows and columns."""
        return replace(self, means=self.means * factor, scales=self.scales * factor)

    def covariances(self, eps2d: float) -> Tensor:
        """Columns (xx, xy, yy) of the covariances plus `eps2d` square pixels on the diagonal, shape (n, 3)."""
        c, s = self.rotations.cos(), self.rotations.sin()
        a, b = self.scales.square().unbind(1)
        return torch.stack([c * c * a + s * s * b + eps2d, c * s * (a - b), s * s * a + c * c * b + eps2d], dim=1)


def conics_of(covariances: Tensor) -> Tensor:
    """Columns (A, B, C) of the inverses: the exponent is -(A dx^2 + 2 B dx dy + C dy^2) / 2. Shape (n, 3)."""
    xx, xy, yy = covariances.unbind(1)
    return torch.stack([yy, -xy, xx], dim=1) / (xx * yy - xy * xy)[:, None]


def check_mode(mode: str) -> str:
    """The mode.

    Raises:
        ConfigError: If there is none of this name.
    """
    if mode not in MODES:
        raise unknown("EMGauss mode", mode, MODES)
    return mode
