"""What both noise networks share: the code of a level, products of halves, and a norm over channels.

Source: IR-SDE and NAFNet code. Frequencies of the code end at 1/10000, and levels are not scaled.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5  # the released code takes 1e-3 in all but float32


class LevelCode(nn.Module):
    """Sines and cosines of a level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, level: Tensor) -> Tensor:
        """Shape (b,) to (b, width), in the type of the level."""
        half = self.width // 2
        exponent = torch.arange(half, device=level.device, dtype=level.dtype) / (half - 1)
        angle = level[:, None] * torch.exp(-math.log(10000) * exponent)
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class Gate(nn.Module):
    """Product of the first and the second half of the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, 2 c, ...) to (b, c, ...)."""
        first, second = x.chunk(2, dim=1)
        return first * second


class ChannelNorm(nn.Module):
    """Every voxel's channels brought to mean 0 and variance 1, times a learned gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, c, h, w); quickest where channels are neighbours in memory."""
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, last.shape[-1:], self.g.flatten(), None, EPSILON).permute(0, 3, 1, 2)


def level_for_each(level: int | Tensor, images: Tensor) -> Tensor:
    """A level as one number for each image, shape (b,), in the type of the images."""
    return torch.as_tensor(level, device=images.device).to(images.dtype).reshape(-1).expand(len(images))
