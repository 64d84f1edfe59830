"""The stages of IsoVEM's body: U-shaped stages with mutual attention, and groups with self-attention only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vemrecon.nets.window_block import WindowBlocks
from vemrecon.nets.windows import Size3

MUTUAL_FRAMES = 2  # mutual attention pairs two frames, whatever the temporal window


class BodyStage(nn.Module):
    """Change of resolution, blocks with mutual and self-attention, blocks with self-attention only.

    `x = resample(x)`, `x = x + mutual_linear(mutual(x))`, `x = x + plain_linear(plain(x))`.

    Args:
        resample: First step; gives `channels`.
        channels: Width.
        depth: Number of blocks.
        window: Window (d, h, w); blocks with mutual attention use two frames.
        heads: Number of heads.
        drop_paths: Rates of stochastic depth, `depth` of them.
        mutual_ratio: Share of the blocks with mutual attention, rounded down.
        block: Further arguments of `WindowBlocks`.
    """

    def __init__(
        self,
        resample: nn.Module,
        channels: int,
        depth: int,
        window: Size3,
        heads: int,
        drop_paths: Sequence[float],
        mutual_ratio: float,
        **block: Any,
    ) -> None:
        super().__init__()
        count = int(depth * mutual_ratio)
        pair = (MUTUAL_FRAMES, *window[1:])
        self.resample = resample
        self.mutual = WindowBlocks(count, channels, pair, heads, drop_paths, mutual=True, **block)
        self.mutual_linear = nn.Linear(channels, channels)
        # The published network gives these blocks the first rates again; the last ones of a stage are never used.
        self.plain = WindowBlocks(depth - count, channels, window, heads, drop_paths, **block)
        self.plain_linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Feature volume (b, d, h, w, c), resampled in h and w."""
        x = self.resample(x)
        x = x + self.mutual_linear(self.mutual(x))
        return x + self.plain_linear(self.plain(x))


class Group(nn.Module):
    """`x + linear(blocks(x))` with self-attention only; arguments of `WindowBlocks`."""

    def __init__(
        self, channels: int, depth: int, window: Size3, heads: int, drop_paths: Sequence[float], **block: Any
    ) -> None:
        super().__init__()
        self.blocks = WindowBlocks(depth, channels, window, heads, drop_paths, **block)
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Feature volume (b, d, h, w, c) to the same shape."""
        return x + self.linear(self.blocks(x))
