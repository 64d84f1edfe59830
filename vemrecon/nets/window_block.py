"""Transformer block on a feature volume: window attention, gated MLP, stochastic depth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vemrecon.nets.window_attention import CHUNK_TOKENS, WindowAttention, in_chunks
from vemrecon.nets.windows import (
    Size3,
    WindowMask,
    effective_window,
    merge_shifted,
    pad_to_windows,
    partition_shifted,
    shift_mask,
)


class StochasticDepth(nn.Module):
    """Drops a residual per sample while training and scales the survivors by `1 / (1 - rate)`.

    Source: Huang et al. 2016, doi:10.1007/978-3-319-46493-0_39, section 3.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Residual of any shape, samples first."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * x.new_empty([len(x)] + [1] * (x.dim() - 1)).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """The rate, for printing."""
        return f"rate={self.rate:.4g}"


class GatedMLP(nn.Module):
    """`out(GELU(gate(x)) * value(x))` per token.

    Source: Shazeer 2020, arXiv:2002.05202, equation 6 (GEGLU), with biases and the exact GELU.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(channels, hidden)
        self.value = nn.Linear(channels, hidden)
        self.out = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with channels last."""
        return self.out(F.gelu(self.gate(x)) * self.value(x))


class WindowBlock(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`, each residual subject to stochastic depth.

    Zeros are appended after the norm until windows fit; they are not masked, so they are attended to.

    Args:
        channels: Width.
        window: Nominal window (d, h, w).
        shift: Cyclic shift (d, h, w); axes that are one window are not shifted.
        heads: Number of heads.
        mutual: Attention between the two frames of a window as well.
        mlp_ratio: Hidden width of the MLP over the width.
        drop_path: Rate of stochastic depth.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the queries, None for the usual one.
    """

    def __init__(
        self,
        channels: int,
        window: Size3,
        shift: Size3,
        heads: int,
        *,
        mutual: bool = False,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, window, heads, mutual=mutual, qkv_bias=qkv_bias, scale=qk_scale)
        self.drop_path = StochasticDepth(drop_path)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = GatedMLP(channels, int(channels * mlp_ratio))

    def attention_residual(self, x: Tensor) -> Tensor:
        """Attention in shifted windows; (b, d, h, w, c) to the same shape."""
        b, d, h, w, _ = x.shape
        window, shift = effective_window((d, h, w), self.window, self.shift)
        x = pad_to_windows(self.norm1(x), window)
        extent = (x.shape[1], x.shape[2], x.shape[3])
        mask = None
        if any(shift):
            mask = shift_mask(extent, window, shift, x.device, x.dtype)
            mask = WindowMask(mask.patterns, mask.kind.repeat(b))
        x = merge_shifted(self.attention(partition_shifted(x, window, shift), mask), window, shift, extent)
        return x[:, :d, :h, :w]

    def mlp_residual(self, x: Tensor) -> Tensor:
        """MLP per token; any shape with channels last."""
        tokens = x.flatten(0, -2)
        return in_chunks(lambda part, *_: self.mlp(self.norm2(part)), tokens, CHUNK_TOKENS).view_as(x)

    def forward(self, x: Tensor) -> Tensor:
        """Feature volume (b, d, h, w, c) to the same shape."""
        x = x + self.drop_path(self.attention_residual(x))
        return x + self.drop_path(self.mlp_residual(x))


class WindowBlocks(nn.ModuleList):
    """A run of blocks of which every second one is shifted by half a window.

    Args:
        depth: Number of blocks.
        channels: Width.
        window: Nominal window (d, h, w).
        heads: Number of heads.
        drop_paths: Rates of stochastic depth, the first `depth` of which are used.
        checkpointing: Recompute activations in the backward pass, to save memory.
        mutual: Attention between the two frames of a window as well.
        mlp_ratio: Hidden width of the MLPs over the width.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the queries, None for the usual one.
    """

    def __init__(
        self,
        depth: int,
        channels: int,
        window: Size3,
        heads: int,
        drop_paths: Sequence[float],
        *,
        checkpointing: bool = False,
        mutual: bool = False,
        mlp_ratio: float = 2.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
    ) -> None:
        half = (window[0] // 2, window[1] // 2, window[2] // 2)
        super().__init__(
            WindowBlock(
                channels,
                window,
                half if i % 2 else (0, 0, 0),
                heads,
                mutual=mutual,
                mlp_ratio=mlp_ratio,
                drop_path=drop_paths[i],
                qkv_bias=qkv_bias,
                qk_scale=qk_scale,
            )
            for i in range(depth)
        )
        self.checkpointing = checkpointing

    def forward(self, x: Tensor) -> Tensor:
        """Feature volume (b, d, h, w, c) to the same shape."""
        for block in self:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x
