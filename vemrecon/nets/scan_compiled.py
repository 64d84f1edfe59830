"""Selective scan by a kernel in C, on processors: one pass over the steps, the states of few channels in registers.

Channels are the last axis here, and every group visits rows in an order of its own, so that nothing is reordered. The
forward pass keeps the state of every `block` steps; the backward pass recomputes one block at a time, last block first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from vemrecon.compiled import in_threads, kernel_library

SOURCE = Path(__file__).with_name("scan_kernel.c")
Number, Pointer = ctypes.c_int64, ctypes.c_void_p


def kernel_fits(u: Tensor) -> bool:
    """Whether the kernel can run: no float64, which it does not have, and a compiler or what it made earlier."""
    return u.device.type == "cpu" and u.dtype != torch.float64 and kernel_library(SOURCE) is not None


def scan_rows(
    u: Tensor,
    delta: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    order: Tensor | None = None,
    *,
    softplus: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run the recurrence of `selective_scan` in float32.

    Args:
        u: Inputs, shape (batch, rows, groups, channels of a group); groups may be expanded.
        delta: Raw steps with their bias, of the same shape.
        a: Negative decay rates, shape (groups, state, channels of a group).
        b: Shape (batch, rows, groups, state).
        c: Shape of `b`.
        skip: Direct weight of the input, shape (groups, channels of a group).
        order: Row of every step, int64, shape (groups, rows); None for one after the other.
        softplus: Make steps positive.

    Returns:
        Result of the shape of `u` in the order of the rows, and the last state, shape (batch, *a.shape).
    """
    order = None if order is None else order.contiguous()
    y, last = _Rows.apply(*(None if x is None else x.float() for x in (u, delta, a, b, c, skip)), order, softplus)
    return y.to(u.dtype), last


def _lined_up(x: Tensor) -> Tensor:
    """With the numbers of a group side by side."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def _at(x: Tensor | None, *place: int) -> int | None:
    """Address of what stands at a place of the first axes."""
    if x is None:
        return None
    return int(x.data_ptr()) + sum(i * step for i, step in zip(place, x.stride(), strict=False)) * x.element_size()


class _Inputs(ctypes.Structure):
    """`inputs` of the kernel."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("wide", "steps", "state")),
        *((name, ctypes.c_void_p) for name in ("order", "u", "dt", "a", "b", "c", "skip")),
        *((name, ctypes.c_int64) for name in ("u_row", "dt_row", "b_row", "c_row", "block")),
    )


class _Results(ctypes.Structure):
    """`results` of the kernel."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("u", "dt", "a", "b", "c", "skip")),
        *((name, ctypes.c_int64) for name in ("row", "state_row")),
    )


def _inputs(tensors: Sequence[Tensor | None], block: int, i: int, g: int) -> Any:
    """What the kernel reads for one sample and group, of u, dt, a, b, c, skip and order."""
    u, dt, a, b, c, skip, order = tensors
    assert u is not None and dt is not None and a is not None and b is not None and c is not None
    places = _at(order, g), _at(u, i, 0, g), _at(dt, i, 0, g), _at(a, g), _at(b, i, 0, g), _at(c, i, 0, g), _at(skip, g)
    return ctypes.byref(
        _Inputs(u.shape[3], u.shape[1], a.shape[1], *places, *(x.stride(1) for x in (u, dt, b, c)), block)
    )


class _Rows(torch.autograd.Function):
    """The recurrence with its own backward pass; inputs as for `scan_rows`."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        a: Tensor,
        b: Tensor,
        c: Tensor,
        skip: Tensor | None,
        order: Tensor | None,
        softplus: bool,
    ) -> tuple[Tensor, Tensor]:
        """Result and last state."""
        u, b, c = (_lined_up(x) for x in (u, b, c))
        dt = _lined_up(F.softplus(delta) if softplus else delta)
        a, skip = a.contiguous(), None if skip is None else skip.contiguous()
        batch, rows, groups, width = u.shape
        state, wanted = a.shape[1], any(ctx.needs_input_grad)
        block = 4 * state  # what is kept is a fourth of the inputs
        y, last = u.new_empty(u.shape), a.new_empty(batch, *a.shape)
        starts = a.new_empty(batch, groups, -(-rows // block), state, width) if wanted else None
        kernel: Any = kernel_library(SOURCE)

        def work(place: tuple[int, int]) -> int:
            i, g = place
            given = _inputs((u, dt, a, b, c, skip, order), block, i, g)
            results = (
                Pointer(_at(y, i, 0, g)),
                Number(y.stride(1)),
                Pointer(_at(last, i, g)),
                Pointer(_at(starts, i, g)),
            )
            return int(kernel.scan_forward(given, *results))

        in_threads(work, list(product(range(batch), range(groups))))
        ctx.save_for_backward(u, dt, a, b, c, skip, order, starts)
        ctx.softplus, ctx.block = softplus, block
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by all tensors but the order."""
        u, dt, a, b, c, skip, order, starts = ctx.saved_tensors
        by_y, by_last = _lined_up(gradients[0]), gradients[1].contiguous()
        batch, _, groups, width = u.shape
        by_u, by_dt = u.new_empty(u.shape), u.new_empty(u.shape)
        by_b, by_c = (b.new_zeros(b.shape) for _ in range(2))
        by_a, by_skip = a.new_empty(batch, *a.shape), a.new_empty(batch, groups, width)
        kernel: Any = kernel_library(SOURCE)

        def work(place: tuple[int, int]) -> int:
            i, g = place
            given = _inputs((u, dt, a, b, c, skip, order), ctx.block, i, g)
            kept = Pointer(_at(starts, i, g)), Pointer(_at(by_y, i, 0, g)), Number(by_y.stride(1))
            places = (
                *(_at(x, i, 0, g) for x in (by_u, by_dt)),
                _at(by_a, i, g),
                *(_at(x, i, 0, g) for x in (by_b, by_c)),
            )
            results = _Results(*places, _at(by_skip, i, g), by_u.stride(1), by_b.stride(1))
            return int(kernel.scan_backward(given, *kept, Pointer(_at(by_last, i, g)), ctypes.byref(results)))

        in_threads(work, list(product(range(batch), range(groups))))
        if ctx.softplus:
            by_dt *= -torch.expm1(-dt)  # the slope of the softplus, by its value
        return by_u, by_dt, by_a.sum(0), by_b, by_c, None if skip is None else by_skip.sum(0), None, None
