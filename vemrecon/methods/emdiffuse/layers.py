"""Parts of the noise U-Net: codes of numbers, residual blocks that a code modulates, attention over a section.

Source: guided diffusion (Dhariwal & Nichol, NeurIPS 2021) as the vEMDiffuse release uses it; submodules have the names
of the released weights.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Resize = Literal["none", "down", "up"]


def waves(numbers: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of (b,) numbers at `width / 2` rates from 1 down to nearly 1/10000; shape (b, width)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=numbers.device) * (-math.log(10000) / half))
    angle = numbers.float()[:, None] * rates
    return torch.cat([angle.cos(), angle.sin()], dim=1)


class Block(nn.Module):
    """Two normed 3 x 3 convolutions around a shortcut; the code scales and shifts what the second one gets.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        code: Numbers in the code.
        groups: Of every norm.
        dropout: Before the second convolution.
        resize: Whether the section is halved (means) or doubled (repeats) first.
    """

    def __init__(
        self, before: int, after: int, code: int, groups: int, dropout: float = 0.0, resize: Resize = "none"
    ) -> None:
        super().__init__()
        self.resize = resize
        self.in_layers = nn.Sequential(nn.GroupNorm(groups, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(code, 2 * after))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, after), nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(after, after, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Shape (b, before, h, w) and (b, code) to (b, after, h', w')."""
        h = self._resized(self.in_layers[:2](x))
        h = self.in_layers[2](h)
        scale, shift = self.emb_layers(code)[..., None, None].chunk(2, dim=1)
        h = self.out_layers[0](h) * (1 + scale) + shift
        shortcut: Tensor = self.skip_connection(self._resized(x))
        return shortcut + self.out_layers[1:](h)

    def _resized(self, x: Tensor) -> Tensor:
        if self.resize == "none":
            return x
        return F.avg_pool2d(x, 2) if self.resize == "down" else F.interpolate(x, scale_factor=2.0, mode="nearest")


class Attention(nn.Module):
    """Every voxel looks at all others of the section, with several heads; added to the input."""

    def __init__(self, channels: int, head: int, groups: int) -> None:
        super().__init__()
        if channels % head:
            raise ValueError(f"attention over {channels} channels cannot have heads of {head}")
        self.heads = channels // head
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv, self.proj_out = nn.Conv1d(channels, 3 * channels, 1), nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, c, h, w) in and out."""
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x.reshape(b, c, h * w)))
        q, k, v = qkv.reshape(b, self.heads, 3, -1, h * w).transpose(-1, -2).unbind(2)  # (b, heads, voxels, head)
        found = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(b, c, h * w)
        return x + self.proj_out(found).reshape(b, c, h, w)


class Steps(nn.Sequential):
    """Layers in order; blocks get the code too."""

    def forward(self, x: Tensor, code: Tensor) -> Tensor:  # type: ignore[override]  # one argument more than its base
        """Shape (b, c, h, w) and (b, code) to (b, c', h', w')."""
        for layer in self:
            x = layer(x, code) if isinstance(layer, Block) else layer(x)
        return x
