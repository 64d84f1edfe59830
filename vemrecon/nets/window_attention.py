"""Attention inside windows of a feature volume: every token with every other, and between the two frames of a window.

Sources: Liu et al. 2021 (Swin), doi:10.1109/ICCV48922.2021.00986, section 3.2, for windows, shifts and the relative
position bias; Liang et al. 2022 (VRT), arXiv:2201.12288, for mutual attention.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vemrecon.errors import ConfigError
from vemrecon.nets.attention_compiled import attend_in_place, kernel_fits, table_of
from vemrecon.nets.windows import Size3, WindowMask, relative_index, sine_code

CHUNK_TOKENS = 4096  # enough work for one call, small enough for the cache of a processor


def in_chunks(function: Callable[[Tensor, int, int], Tensor], rows: Tensor, size: int) -> Tensor:
    """Apply a function of independent rows in runs, where no gradient is wanted, so that temporaries stay small.

    Args:
        function: Gets a run of rows, its start and its stop; keeps the shape.
        rows: Any shape, rows first.
        size: Rows per run.
    """
    if torch.is_grad_enabled() or rows.is_cuda or len(rows) <= size:
        return function(rows, 0, len(rows))
    result = torch.empty_like(rows)
    for start in range(0, len(rows), size):
        stop = min(start + size, len(rows))
        result[start:stop] = function(rows[start:stop], start, stop)
    return result


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None, mask: WindowMask | None) -> Tensor:
    """Softmax attention with additive bias and mask.

    Args:
        q: Queries, shape (windows, heads, n, width).
        k: Keys of the same shape.
        v: Values of the same shape.
        scale: Factor of the queries.
        bias: Shape (heads, n, n), the same for all windows.
        mask: One per window.

    Returns:
        Shape (windows, n, heads * width).
    """
    # For gradients and short floats, and where there is no kernel.
    # Fused attention pays for long sequences and wide heads; windows have 32 to 160 tokens and heads 10 to 15 channels.
    logits = (q * scale) @ k.transpose(-1, -2)
    if bias is not None:
        logits += bias
    if mask is not None:
        logits += mask.dense()[:, None]  # (windows, 1, n, n)
    return (logits.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)


class WindowAttention(nn.Module):
    """Multi-head attention inside windows, with a learned bias for each relative position.

    With `mutual`, windows have two frames and a second branch lets each frame attend to the other one; its result for
    the queries of frame 2 stands at the tokens of frame 1 (frame 1 warped towards frame 2) and vice versa.

    Args:
        channels: Width, a multiple of the heads; with `mutual` also of 4.
        window: Nominal window (d, h, w). At call time d may be smaller.
        heads: Number of heads.
        mutual: Add the branch between frames.
        qkv_bias: Whether queries, keys and values have a bias.
        scale: Factor of the queries; None for `(channels / heads) ** -0.5`.
    """

    position: Tensor
    index: Tensor

    def __init__(
        self,
        channels: int,
        window: Size3,
        heads: int,
        *,
        mutual: bool = False,
        qkv_bias: bool = True,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if channels % heads or (mutual and channels % 4):
            raise ConfigError(
                f"window attention: {channels} channels must be a multiple of {heads} heads"
                f"{' and of 4, for the position code' if mutual else ''}"
            )
        if mutual and window[0] != 2:
            raise ConfigError(f"mutual attention needs windows of two frames, got {window}")
        self.heads = heads
        self.scale = scale or (channels // heads) ** -0.5
        self.mutual = mutual
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.bias_table = nn.Parameter(torch.empty(rows, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.register_buffer("index", relative_index(window).clone(), persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        if mutual:
            self.register_buffer("position", sine_code(window[1:], channels).repeat(1, 2, 1), persistent=False)
            self.mutual_qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.project = nn.Linear(2 * channels if mutual else channels, channels)

    def bias(self, n: int) -> Tensor:
        """Bias of the first n tokens of the nominal window, shape (heads, n, n); right if only d is smaller."""
        return self.bias_table[self.index[:n, :n]].permute(2, 0, 1).contiguous()

    def heads_of(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split (windows, n, 3 c) into queries, keys and values, (windows, heads, n, width) each."""
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def self_attention(self, windows: Tensor, bias: Tensor, mask: WindowMask | None = None) -> Tensor:
        """Each token attends to all tokens of its window; (windows, n, c) to the same shape."""
        return attend(*self.heads_of(self.qkv(windows)), self.scale, bias, mask)

    def mutual_attention(self, windows: Tensor, mask: WindowMask | None = None) -> Tensor:
        """Each frame attends to the other one; (windows, n, c) to the same shape.

        Only the part of the mask inside frame 1 is used: it knows rows and columns, not frames, so the first and the
        last frame of a shifted volume attend to each other. Published weights were trained like this.
        """
        half = windows.shape[1] // 2
        q, k, v = self.heads_of(self.mutual_qkv(windows + self.position))
        inner = None if mask is None else WindowMask(mask.patterns[:, :half, :half], mask.kind)
        first = attend(q[:, :, half:], k[:, :, :half], v[:, :, :half], self.scale, None, inner)
        second = attend(q[:, :, :half], k[:, :, half:], v[:, :, half:], self.scale, None, inner)
        return torch.cat([first, second], dim=1)

    def forward(self, windows: Tensor, mask: WindowMask | None = None) -> Tensor:
        """Attention of both branches, mixed by a linear map.

        Args:
            windows: Shape (windows, n, c).
            mask: One per window, for shifted windows.

        Returns:
            The same shape.
        """
        n = windows.shape[1]
        bias = self.bias(n)
        tables = self.tables(bias, mask) if kernel_fits(windows, self.heads) else None

        def mix(part: Tensor, start: int, stop: int) -> Tensor:
            rows = None if mask is None else mask.rows(start, stop)
            if tables is not None:
                return self.project(self.attend_in_place(part, tables, None if rows is None else rows.kind))
            result = self.self_attention(part, bias, rows)
            if self.mutual:
                result = torch.cat([self.mutual_attention(part, rows), result], dim=-1)
            return self.project(result)

        return in_chunks(mix, windows, max(1, CHUNK_TOKENS // n))

    def tables(self, bias: Tensor, mask: WindowMask | None) -> list[Tensor]:
        """What the kernel adds to logits: of self attention, and of mutual attention."""
        n = bias.shape[-1]
        patterns, half = None if mask is None else mask.patterns, n // 2
        found = [table_of(bias, patterns)]
        if self.mutual:
            inner = None if patterns is None else patterns[:, :half, :half]
            found.append(table_of(torch.zeros_like(bias[:, :half, :half]), inner))
        return found

    def attend_in_place(self, windows: Tensor, tables: Sequence[Tensor], kind: Tensor | None) -> Tensor:
        """Both attentions by the kernel, mutual in front, where no gradient is wanted; shape (windows, n, c or 2 c)."""
        count, n, c = windows.shape
        result = windows.new_empty(count, n, 2 * c if self.mutual else c)
        everyone, first, second = slice(0, n), slice(0, n // 2), slice(n // 2, n)
        attend_in_place(
            self.qkv(windows), self.heads, self.scale, tables[0], kind, everyone, everyone, result[..., -c:]
        )
        if self.mutual:
            qkv = self.mutual_qkv(windows + self.position)
            for asking, asked, out in ((second, first, first), (first, second, second)):
                attend_in_place(qkv, self.heads, self.scale, tables[1], kind, asking, asked, result[:, out, :c])
        return result
