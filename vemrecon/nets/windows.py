"""Geometry of windows in feature volumes: partition, cyclic shift, masks, relative positions, sine codes.

Feature volumes are channel-last, shape (b, d, h, w, c); windows are (b * number, n, c) with the windows ordered
b, d, h, w and the n tokens of a window ordered d, h, w. Everything that depends on sizes alone is computed once.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Size3 = tuple[int, int, int]

SEPARATED = -100.0
"""Added to the logit of two tokens that a cyclic shift brought together. Finite, as in the public weights' code."""


class WindowMask(NamedTuple):
    """Additive masks of windows that share a few patterns.

    Attributes:
        patterns: Shape (kinds, n, n), 0 or `SEPARATED`.
        kind: Pattern of each window, int64, shape (windows,).
    """

    patterns: Tensor
    kind: Tensor

    def rows(self, start: int, stop: int) -> WindowMask:
        """The masks of a run of windows."""
        return WindowMask(self.patterns, self.kind[start:stop])

    def dense(self) -> Tensor:
        """One mask per window, shape (windows, n, n)."""
        return self.patterns[self.kind]


def effective_window(extent: Size3, window: Size3, shift: Size3) -> tuple[Size3, Size3]:
    """Window and shift for an extent: an axis that is not longer than its window is one window and is not shifted.

    >>> effective_window((5, 2, 16), (4, 2, 4), (2, 1, 2))
    ((4, 2, 4), (2, 0, 2))
    """
    fits = [n <= size for n, size in zip(extent, window, strict=True)]
    d, h, w = (n if small else size for n, size, small in zip(extent, window, fits, strict=True))
    sd, sh, sw = (0 if small else step for step, small in zip(shift, fits, strict=True))
    return (d, h, w), (sd, sh, sw)


def pad_to_windows(x: Tensor, window: Size3) -> Tensor:
    """Append zeros to d, h and w until windows fit, shape (b, d, h, w, c)."""
    d, h, w = (-n % size for n, size in zip(x.shape[1:4], window, strict=True))
    return F.pad(x, (0, 0, 0, w, 0, h, 0, d)) if d or h or w else x


def partition(x: Tensor, window: Size3) -> Tensor:
    """Cut a feature volume whose sides are multiples of the window; (b, d, h, w, c) to (windows, n, c)."""
    b, d, h, w, c = x.shape
    wd, wh, ww = window
    x = x.reshape(b, d // wd, wd, h // wh, wh, w // ww, ww, c)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, wd * wh * ww, c)


def merge(windows: Tensor, window: Size3, extent: Size3) -> Tensor:
    """Inverse of `partition`: (windows, n, c) to (b, d, h, w, c) with the given extent (d, h, w)."""
    d, h, w = extent
    wd, wh, ww = window
    x = windows.reshape(-1, d // wd, h // wh, w // ww, wd, wh, ww, windows.shape[-1])
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, d, h, w, windows.shape[-1])


@lru_cache(maxsize=64)
def _shifted_order(extent: Size3, window: Size3, shift: Size3, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where each token of the shifted and partitioned windows comes from, and the inverse permutation."""
    with torch.inference_mode(False):  # a cached inference tensor could never be trained with
        place = torch.arange(math.prod(extent)).reshape(1, *extent, 1)
        rolled = torch.roll(place, [-step for step in shift], dims=(1, 2, 3))
        order = partition(rolled, window).flatten()
        return order.to(device), torch.argsort(order).to(device)


class _Permute(torch.autograd.Function):
    """Permutation of axis 1 whose gradient is the inverse permutation: one copy each way, the same bits every time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """Rows of x in the given order."""
        ctx.orders = inverse, order
        return x.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient in the original order."""
        return _Permute.apply(gradients[0], *ctx.orders), None, None


def partition_shifted(x: Tensor, window: Size3, shift: Size3) -> Tensor:
    """Shift cyclically by `-shift` and `partition`, in one copy; (b, d, h, w, c) to (windows, n, c)."""
    if not any(shift):
        return partition(x, window)
    extent = (x.shape[1], x.shape[2], x.shape[3])
    order, inverse = _shifted_order(extent, window, shift, x.device)
    tokens: Tensor = _Permute.apply(x.flatten(1, 3), order, inverse)
    return tokens.reshape(-1, math.prod(window), x.shape[-1])


def merge_shifted(windows: Tensor, window: Size3, shift: Size3, extent: Size3) -> Tensor:
    """Inverse of `partition_shifted` for an extent (d, h, w)."""
    if not any(shift):
        return merge(windows, window, extent)
    order, inverse = _shifted_order(extent, window, shift, windows.device)
    tokens: Tensor = _Permute.apply(windows.reshape(-1, math.prod(extent), windows.shape[-1]), inverse, order)
    return tokens.unflatten(1, extent)


def _axis_labels(length: int, window: int, shift: int) -> Tensor:
    """Which part of one axis a token came from: inside, last window before the cut, last window after it."""
    labels = torch.zeros(length, dtype=torch.int64)
    if shift:
        labels[length - window :] = 1
        labels[length - shift :] = 2
    return labels


@lru_cache(maxsize=64)
def shift_mask(extent: Size3, window: Size3, shift: Size3, device: torch.device, dtype: torch.dtype) -> WindowMask:
    """Masks that keep apart what only a cyclic shift made neighbours; the windows are those of one feature volume.

    A window's mask depends only on whether it is the last one of each shifted axis, so there are at most 8 patterns.

    Args:
        extent: Padded size (d, h, w), multiples of the window.
        window: Effective window.
        shift: Effective shift.
        device: Where the masks are needed.
        dtype: Their type.

    Source: Liu et al. 2021 (Swin), doi:10.1109/ICCV48922.2021.00986, section 3.2, in three dimensions.
    """
    with torch.inference_mode(False):  # a cached inference tensor could never be trained with
        patterns = torch.zeros(1, 1, dtype=torch.int64)  # (kinds, n), labels of the tokens
        kind = torch.zeros(1, dtype=torch.int64)
        for length, size, step in zip(extent, window, shift, strict=True):
            rows = _axis_labels(length, size, step).reshape(-1, size)
            distinct, of_window = torch.unique(rows, dim=0, return_inverse=True)
            kinds = patterns[:, None, :, None] * 3 + distinct[None, :, None, :]
            patterns = kinds.reshape(len(patterns) * len(distinct), -1)
            kind = (kind[:, None] * len(distinct) + of_window[None, :]).flatten()
        apart = patterns[:, :, None] != patterns[:, None, :]
        mask = torch.where(apart, SEPARATED, 0.0).to(device, dtype)
        return WindowMask(mask, kind.to(device))


@lru_cache(maxsize=64)
def relative_index(window: Size3) -> Tensor:
    """Row of the bias table for query i (first axis) and key j, int64, shape (n, n).

    The row is `(di - dj + wd - 1) (2 wh - 1) (2 ww - 1) + (hi - hj + wh - 1) (2 ww - 1) + (wi - wj + ww - 1)`.

    >>> relative_index((1, 1, 2)).tolist()
    [[1, 0], [2, 1]]
    """
    with torch.inference_mode(False):
        grid = torch.meshgrid(*(torch.arange(size) for size in window), indexing="ij")
        index = torch.zeros(math.prod(window), math.prod(window), dtype=torch.int64)
        for size, coordinate in zip(window, grid, strict=True):
            flat = coordinate.flatten()
            index = index * (2 * size - 1) + flat[:, None] - flat[None, :] + size - 1
        return index


def sine_code(window: tuple[int, int], channels: int) -> Tensor:
    """Fixed position code of a window in the plane, float32, shape (1, h * w, channels).

    With n = channels / 2, `y = 2 pi (row + 1) / (wh + 1e-6)` and `t_i = 10000^(2 floor(i / 2) / n)`, feature i of the
    row half is `sin(y / t_i)` for even i and `cos(y / t_i)` for odd i; the column half follows likewise.

    Source: Carion et al. 2020 (DETR), arXiv:2005.12872, appendix, normalised to the window.
    """
    half = channels // 2
    # In float32 and in this order, so that the code is the one that published weights were trained with, to the bit.
    period = 10000.0 ** (2 * torch.div(torch.arange(half), 2, rounding_mode="floor").float() / half)
    codes = []
    for size in window:
        angle = torch.arange(1, size + 1).float()[:, None] / (size + 1e-6) * (2 * math.pi) / period
        codes.append(torch.where(torch.arange(half) % 2 == 0, angle.sin(), angle.cos()))
    rows = codes[0][:, None, :].expand(*window, half)
    columns = codes[1][None, :, :].expand(*window, half)
    return torch.cat([rows, columns], dim=-1).reshape(1, -1, channels)
