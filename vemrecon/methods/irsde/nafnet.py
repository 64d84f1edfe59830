"""The noise network of D2R: a conditional NAFNet with a channel-attention stem.

Chen et al., "Simple baselines for image restoration", ECCV 2022 (NAFNet), as changed by the authors of IR-SDE and D2R;
20 400 261 parameters at the published width. Submodules have the names of the released weights.

Every block pools its channels over the whole image, so that a voxel's result depends a little on all of the section.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.methods.irsde.layers import ChannelNorm, Gate, LevelCode, level_for_each


class Block(nn.Module):
    """Depthwise convolution with channel attention, then a gated pointwise part; both are modulated by the level.

    Args:
        channels: In and out.
        code: Width of the code of the level.
    """

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        c = channels
        self.mlp = nn.Sequential(Gate(), nn.Linear(code // 2, 4 * c))
        self.norm1, self.norm2 = ChannelNorm(c), ChannelNorm(c)
        self.conv1 = nn.Conv2d(c, 2 * c, 1)
        self.conv2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c, 1))
        self.conv3 = nn.Conv2d(c, c, 1)
        self.conv4, self.conv5 = nn.Conv2d(c, 2 * c, 1), nn.Conv2d(c, c, 1)
        self.gate = Gate()
        self.beta, self.gamma = (nn.Parameter(torch.zeros(1, c, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Shape (b, c, h, w) in and out."""
        modulation = self.mlp(code)[..., None, None].chunk(4, dim=1)
        shift, scale, later_shift, later_scale = modulation
        inner = self.gate(self.conv2(self.conv1(self.norm1(x) * (1 + scale) + shift)))
        x = x + self.beta * self.conv3(inner * self.sca(inner))
        inner = self.gate(self.conv4(self.norm2(x) * (1 + later_scale) + later_shift))
        return x + self.gamma * self.conv5(inner)


class ChannelAttention(nn.Module):
    """Channels weighted by what their means over the image say."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, narrow, 1),
            nn.ReLU(),
            nn.Conv2d(narrow, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, c, h, w) in and out."""
        weighted: Tensor = x * self.attention(x)
        return weighted


class Stem(nn.Module):
    """Residual with channel attention; the network adds its input once more, so that it counts twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rcab = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            ChannelAttention(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, c, h, w) in and out."""
        residual: Tensor = self.rcab(x)
        return x + residual


class NAFNet(nn.Module):
    """Noise in a state, given the mean and the level.

    Args:
        width: Channels at full resolution; doubled at every halving.
        encoder: Blocks before each halving.
        middle: Blocks at the lowest resolution.
        decoder: Blocks after each doubling, from the lowest resolution up.
    """

    def __init__(
        self,
        width: int = 64,
        encoder: Sequence[int] = (14, 1, 1, 1),
        middle: int = 1,
        decoder: Sequence[int] = (1,) * 4,
    ) -> None:
        super().__init__()
        if len(encoder) != len(decoder) or width < 4 or width % 2:
            raise ValueError("a NAFNet needs as many decoder as encoder levels, and an even width of at least 4")
        code = 4 * width
        self.time_mlp = nn.Sequential(LevelCode(width), nn.Linear(width, 2 * code), Gate(), nn.Linear(code, code))
        self.intro = nn.Conv2d(2, width, 3, padding=1)
        self.enhance = Stem(width)
        channels = [width * 2**i for i in range(len(encoder) + 1)]
        self.encoders = nn.ModuleList(_blocks(n, c, code) for n, c in zip(encoder, channels, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in channels[:-1])
        self.middle_blks = _blocks(middle, channels[-1], code)
        upwards = channels[:0:-1]
        self.ups = nn.ModuleList(nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2)) for c in upwards)
        self.decoders = nn.ModuleList(_blocks(n, c // 2, code) for n, c in zip(decoder, upwards, strict=True))
        self.ending = nn.Conv2d(width, 1, 3, padding=1)

    @property
    def multiple(self) -> int:
        """Sections are continued with zeros to multiples of this extent."""
        return int(2 ** len(self.downs))

    @property
    def reach(self) -> int:
        """Farthest voxel that another one depends on other than by means over the section, along an axis."""
        depth = len(self.downs)
        counts = [len(e) + len(d) for e, d in zip(self.encoders, reversed(self.decoders), strict=True)]  # type: ignore[arg-type]
        levels = sum(count * 2**i for i, count in enumerate([*counts, len(self.middle_blks)]))
        return 4 + levels + 2**depth - 1  # intro, stem and ending; blocks; corners of halved voxels

    def forward(self, state: Tensor, mean: Tensor, level: int | Tensor) -> Tensor:
        """Images (b, 1, h, w) of any extent, and a level or one for each image, to the noise (b, 1, h, w)."""
        h, w = state.shape[-2:]
        x = torch.cat([state - mean, mean], dim=1)
        x = F.pad(x, (0, -w % self.multiple, 0, -h % self.multiple)).contiguous(memory_format=torch.channels_last)
        code = self.time_mlp(level_for_each(level, x))
        x = self.intro(x)
        x = x + self.enhance(x)
        kept = []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            x = _through(blocks, x, code)
            kept.append(x)
            x = down(x)
        x = _through(self.middle_blks, x, code)
        for up, blocks in zip(self.ups, self.decoders, strict=True):
            x = _through(blocks, up(x) + kept.pop(), code)
        noise: Tensor = self.ending(x)[..., :h, :w]
        return noise


def _blocks(number: int, channels: int, code: int) -> nn.ModuleList:
    return nn.ModuleList(Block(channels, code) for _ in range(number))


def _through(blocks: nn.Module, x: Tensor, code: Tensor) -> Tensor:
    for block in blocks.children():
        x = block(x, code)
    return x
