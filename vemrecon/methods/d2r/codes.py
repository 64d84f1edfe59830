"""What tells the backbone where it is: the relative depth of the wanted section, and the place of each given one.

The papers name both and show them in figures only; the forms are our reading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.methods.d2r.backbone import SECTIONS

HIDDEN = 64
FREQUENCIES = (math.pi, 2 * math.pi, 4 * math.pi)
"""Not above 4 pi: at scale 8 the depths of training are multiples of 1/8, on which higher waves are degenerate, so that
other scales would show the network something new."""
PLACES = (-0.5, 0.0, 0.5, 1.0)
"""Of the four sections, in half sections from the second one."""


def depth_features(depth: Tensor) -> Tensor:
    """Depths (b,) to (b, 7): the depth itself, sines, cosines.

    >>> depth_features(torch.tensor([0.5])).round().abs().tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0]]
    """
    phase = depth[:, None] * torch.tensor(FREQUENCIES, dtype=depth.dtype, device=depth.device)
    return torch.cat([depth[:, None], phase.sin(), phase.cos()], dim=1)


class DepthCode(nn.Module):
    """Relative depth in (0, 1) to one code for each encoder."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.first = nn.Linear(1 + 2 * len(FREQUENCIES), HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.heads = nn.ModuleList(nn.Linear(HIDDEN, c) for c in channels)

    def forward(self, depth: Tensor) -> list[Tensor]:
        """Depths (b,) to codes of shape (b, c, 1, 1, 1)."""
        hidden = F.silu(self.second(F.silu(self.first(depth_features(depth)))))
        return [head(hidden)[:, :, None, None, None] for head in self.heads]


class LearntPositions(nn.Module):
    """One learnt vector for each of the four sections and each encoder."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.codes = nn.ParameterList(0.02 * torch.randn(1, c, SECTIONS, 1, 1) for c in channels)

    def forward(self) -> list[Tensor]:
        """Codes of shape (1, c, 4, 1, 1)."""
        return list(self.codes)


class FourierPositions(nn.Module):
    """Waves of fixed random frequencies at the places of the sections, mapped linearly for each encoder."""

    frequencies: Tensor

    def __init__(self, channels: Sequence[int], waves: int = 32) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(waves))
        self.heads = nn.ModuleList(nn.Linear(2 * waves, c) for c in channels)

    def forward(self) -> list[Tensor]:
        """Codes of shape (1, c, 4, 1, 1)."""
        phase = 2 * math.pi * torch.tensor(PLACES).to(self.frequencies)[:, None] * self.frequencies
        waves = torch.cat([phase.sin(), phase.cos()], dim=1)  # (4, 2 * waves)
        return [head(waves).T[None, :, :, None, None] for head in self.heads]
