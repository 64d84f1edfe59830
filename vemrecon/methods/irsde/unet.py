"""The noise network of the original IR-SDE: a conditional U-Net with linear attention. D2R does not use it.

Luo et al., "Image restoration with mean-reverting stochastic differential equations", ICML 2023; code under the MIT
licence; 137 133 825 parameters at the published width. Submodules have the names of the released weights, apart from
the attention (see `released`). Its attention looks at the whole section.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.methods.irsde.layers import ChannelNorm, LevelCode, level_for_each
from vemrecon.methods.padding import cropped, padded

HEADS, HEAD = 4, 32


class Convolution(nn.Module):
    """3 x 3 convolution, modulated if wanted, and SiLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(before, after, 3, padding=1, bias=False)

    def forward(self, x: Tensor, modulation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Shape (b, before, h, w) to (b, after, h, w)."""
        x = self.proj(x)
        if modulation is not None:
            scale, shift = modulation
            x = x * (scale + 1) + shift
        return F.silu(x)


class Residual(nn.Module):
    """Two convolutions around a shortcut, the first one modulated by the level."""

    def __init__(self, before: int, after: int, code: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(code, 2 * after))
        self.block1, self.block2 = Convolution(before, after), Convolution(after, after)
        self.res_conv = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Shape (b, before, h, w) to (b, after, h, w)."""
        scale, shift = self.mlp(code)[..., None, None].chunk(2, dim=1)
        shortcut: Tensor = self.res_conv(x)
        return self.block2(self.block1(x, (scale, shift))) + shortcut


class LinearAttention(nn.Module):
    """Attention whose cost grows with the number of voxels, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = HEADS * HEAD
        self.norm = ChannelNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(inner, channels, 1), ChannelNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, c, h, w) in and out."""
        b, _, h, w = x.shape
        q, k, v = self.to_qkv(self.norm(x)).reshape(b, 3, HEADS, HEAD, h * w).unbind(1)
        q, k = q.softmax(dim=2) * HEAD**-0.5, k.softmax(dim=3)
        context = k @ (v / (h * w)).transpose(2, 3)  # (b, heads, of k, of v)
        found = (context.transpose(2, 3) @ q).reshape(b, HEADS * HEAD, h, w)
        attended: Tensor = self.to_out(found)
        return x + attended


class UNet(nn.Module):
    """Noise in a state, given the mean and the level.

    Args:
        width: Channels at full resolution; doubled at every level.
        depth: Number of levels; the last one keeps the resolution of the one before.
    """

    def __init__(self, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        if width < 4 or width % 2 or depth < 1:
            raise ValueError("a U-Net needs an even width of at least 4 and at least one level")
        code, self.multiple = 4 * width, 2**depth
        self.init_conv = nn.Conv2d(2, width, 7, padding=3, bias=False)
        self.time_mlp = nn.Sequential(LevelCode(width), nn.Linear(width, code), nn.GELU(), nn.Linear(code, code))
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i in range(depth):
            a, b = width * 2**i, width * 2 ** (i + 1)
            end = i == depth - 1
            down = nn.Conv2d(a, b, 3, padding=1, bias=False) if end else nn.Conv2d(a, b, 4, stride=2, padding=1)
            self.downs.append(_level(a, a, code, down))
            up = (
                nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(b, a, 3, padding=1))
                if i
                else nn.Conv2d(b, a, 3, padding=1, bias=False)
            )
            self.ups.insert(0, _level(a + b, b, code, up))
        middle = width * self.multiple
        self.mid_block1, self.mid_block2 = (Residual(middle, middle, code) for _ in range(2))
        self.mid_attn = LinearAttention(middle)
        self.final_res_block = Residual(2 * width, width, code)
        self.final_conv = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, state: Tensor, mean: Tensor, level: int | Tensor) -> Tensor:
        """Images (b, 1, h, w) of any extent, and a level or one for each image, to the noise (b, 1, h, w)."""
        x = first = self.init_conv(padded(torch.cat([state - mean, mean], dim=1), self.multiple))
        code = self.time_mlp(level_for_each(level, x))
        kept = []
        for level_down in self.downs:
            one, two, attention, down = level_down.children()
            x = one(x, code)
            kept.append(x)
            x = attention(two(x, code))
            kept.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_attn(self.mid_block1(x, code)), code)
        for level_up in self.ups:
            one, two, attention, up = level_up.children()
            x = one(torch.cat([x, kept.pop()], dim=1), code)
            x = two(torch.cat([x, kept.pop()], dim=1), code)
            x = up(attention(x))
        x = self.final_res_block(torch.cat([x, first], dim=1), code)
        return cropped(self.final_conv(x), state)


def _level(before: int, after: int, code: int, resize: nn.Module) -> nn.ModuleList:
    """Two residual blocks that take the same channels, attention, and the way to the next level."""
    blocks = [Residual(before, after, code) for _ in range(2)]
    return nn.ModuleList([*blocks, LinearAttention(after), resize])
