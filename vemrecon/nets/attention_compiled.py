"""Attention inside windows by a kernel in C, on processors and without gradients: logits never leave the cache."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vemrecon.compiled import in_threads, kernel_library

SOURCE = Path(__file__).with_name("attention_kernel.c")
LANES, WIDEST = 8, 32  # of the kernel: floats in a vector, channels of a head
APART = -1e30  # the logit of keys that only fill the last vector


class _Arguments(ctypes.Structure):
    """`arguments` of the kernel."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("windows", "heads", "width", "queries", "keys")),
        *((name, ctypes.c_void_p) for name in ("q", "k", "v", "added", "kind", "out")),
        *((name, ctypes.c_int64) for name in ("window", "row", "out_window", "out_row")),
        ("scale", ctypes.c_float),
    )


def kernel_fits(windows: Tensor, heads: int) -> bool:
    """Whether the kernel can run: float32 on a processor, no gradient, heads that are not wide, and a compiler."""
    if windows.device.type != "cpu" or windows.dtype != torch.float32 or windows.shape[-1] > heads * WIDEST:
        return False
    exact = not torch.is_autocast_enabled("cpu")  # which would make queries, keys and values of shorter floats
    return exact and not torch.is_grad_enabled() and kernel_library(SOURCE) is not None


def table_of(bias: Tensor, patterns: Tensor | None) -> Tensor:
    """What is added to logits, for every kind of window; with whole vectors of keys.

    Args:
        bias: Shape (heads, queries, keys), for windows of all kinds.
        patterns: Masks, shape (kinds, queries, keys).

    Returns:
        Shape (kinds, heads, queries, keys and what fills the last vector).
    """
    table = bias[None] if patterns is None else bias + patterns[:, None]
    return F.pad(table, (0, -table.shape[-1] % LANES), value=APART).contiguous()


def attend_in_place(
    qkv: Tensor, heads: int, scale: float, table: Tensor, kind: Tensor | None, asking: slice, asked: slice, out: Tensor
) -> None:
    """Softmax attention of some tokens of every window to some tokens of the same window.

    Args:
        qkv: Queries, keys and values side by side, shape (windows, n, 3 c), contiguous.
        heads: Number of heads.
        scale: Factor of the queries.
        table: See `table_of`.
        kind: Table of each window, int64; None for the first one.
        asking: Tokens that ask, with a start and a stop.
        asked: Tokens that are looked at.
        out: Where the result is put, shape (windows, tokens that ask, c), channels side by side.
    """
    windows, n, c = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    start, size = qkv.data_ptr(), qkv.element_size()
    q, k = (start + part.start * 3 * c * size for part in (asking, asked))
    counts = windows, heads, c // heads, asking.stop - asking.start, asked.stop - asked.start
    kinds = None if kind is None else kind.contiguous()
    places = q, k + c * size, k + 2 * c * size, table.data_ptr(), None if kinds is None else kinds.data_ptr()
    strides = n * 3 * c, 3 * c, out.stride(0), out.stride(1)
    given = _Arguments(*counts, *places, out.data_ptr(), *strides, scale)
    kernel: Any = kernel_library(SOURCE)
    step = -(-windows // torch.get_num_threads())
    runs = [(first, min(first + step, windows)) for first in range(0, windows, step)]
    in_threads(lambda run: kernel.window_attention(ctypes.byref(given), *map(ctypes.c_int64, run)), runs)
