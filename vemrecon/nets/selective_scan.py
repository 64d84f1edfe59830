"""Selective scan of Mamba: a recurrence with input-dependent steps, on any device.

    dt_t = softplus(delta_t + delta_bias)
    h_t  = exp(dt_t a) h_{t-1} + dt_t b_t u_t,    h_{-1} = 0
    y_t  = sum_n c_t[n] h_t[n] + skip u_t

Source: Gu and Dao 2023, arXiv:2312.00752, algorithm 2 and equation 2 with the simplified discretisation of b.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vemrecon.errors import ConfigError
from vemrecon.nets.scan_chunked import ChunkedScan, block_length
from vemrecon.nets.scan_compiled import kernel_fits, scan_rows


def selective_scan(
    u: Tensor,
    delta: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None = None,
    gate: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    softplus: bool = False,
    kernel: str | None = None,
    block_elements: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the recurrence over the last axis.

    Args:
        u: Inputs, shape (batch, channels, length).
        delta: Raw steps, same shape; not negative if used without softplus.
        a: Negative decay rates, shape (channels, state).
        b: Shape (batch, groups, state, length), or (batch, state, length) for one group. Channel d belongs to group
            d // (channels / groups).
        c: Shape of `b`.
        skip: Direct weight of the input, shape (channels,).
        gate: Shape of `u`; the result is multiplied by silu(gate).
        delta_bias: Added to the raw steps, shape (channels,).
        softplus: Make steps positive; the identity above 20.
        kernel: `chunked` (plain torch), `compiled` (float32 state; `scan_compiled`, which wants a C compiler, on CUDA
            the package mamba-ssm) or None for the faster one.
        block_elements: Numbers per block of the chunked scan; None for the default of the device. Changes memory and
            time, results only by rounding. The compiled kernels have no such blocks.

    Returns:
        Result of the shape and type of `u`, and the last state (batch, channels, state), in float32 or float64.

    Raises:
        ConfigError: If shapes do not fit, or the compiled kernel is asked for and cannot be used.
    """
    check_shapes(u, delta, a, b, c)
    if kernel not in (None, "chunked", "compiled"):
        raise ConfigError(f"scan kernel {kernel!r}: expected 'chunked', 'compiled' or None")
    if compiled_kernel_fits(u, a) if kernel is None else kernel == "compiled" and u.is_cuda:
        return compiled_scan(u, delta, a, b, c, skip, gate, delta_bias, softplus)
    batch, channels, length = u.shape
    if u.is_meta:  # nothing is computed there, and thousands of small steps have no shapes to follow
        return torch.empty_like(u), u.new_empty(batch, channels, a.shape[-1], dtype=state_type(u))
    b, c = (x.unsqueeze(1) if x.dim() == 3 else x for x in (b, c))
    groups, state = b.shape[1:3]
    dtype = state_type(u)
    if kernel == "compiled" and not kernel_fits(u):
        raise ConfigError("the compiled scan on processors needs a C compiler, and float32 or shorter")
    if kernel == "compiled" or (kernel is None and kernel_fits(u)):
        raw = delta if delta_bias is None else delta + delta_bias[:, None]
        ours, raw = (x.unflatten(1, (groups, -1)).permute(0, 3, 1, 2) for x in (u, raw))  # (batch, length, g, d)
        rates, direct = a.unflatten(0, (groups, -1)).transpose(1, 2), None if skip is None else skip.view(groups, -1)
        b, c = (x.permute(0, 3, 1, 2) for x in (b, c))
        found, last = scan_rows(ours, raw, rates, b, c, direct, softplus=softplus)
        y = found.flatten(2).transpose(1, 2)
        return (y if gate is None else y * F.silu(gate)), last.transpose(2, 3).flatten(1, 2)

    def grouped(x: Tensor) -> Tensor:
        return x.unflatten(1, (groups, channels // groups))

    rates = a.to(dtype).view(groups, -1, state).transpose(1, 2).contiguous()  # (g, n, d)
    vectors = (None if x is None else x.to(dtype).view(groups, -1) for x in (skip, delta_bias))
    block = block_length(batch * channels * state, length, u.device.type, block_elements)
    y, last = ChunkedScan.apply(grouped(u), grouped(delta), rates, b, c, *vectors, softplus, block)
    y = y.flatten(1, 2)
    return (y if gate is None else y * F.silu(gate)), last.transpose(2, 3).flatten(1, 2)


def selective_scan_reference(
    u: Tensor,
    delta: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None = None,
    gate: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    softplus: bool = False,
) -> tuple[Tensor, Tensor]:
    """The definition, step by step; arguments and result as `selective_scan`. Slow, for tests."""
    check_shapes(u, delta, a, b, c)
    dtype = state_type(u)
    raw = delta.to(dtype) if delta_bias is None else delta.to(dtype) + delta_bias.to(dtype)[:, None]
    dt = F.softplus(raw) if softplus else raw
    b, c = (x.to(dtype).unsqueeze(1) if x.dim() == 3 else x.to(dtype) for x in (b, c))
    groups = b.shape[1]
    rates = a.to(dtype).unflatten(0, (groups, -1))  # (g, d, n)
    h = rates.new_zeros(len(u), *rates.shape)  # (b, g, d, n)
    results = []
    series = (dt.unflatten(1, (groups, -1)), u.to(dtype).unflatten(1, (groups, -1)), b, c)
    for step, value, write, look in zip(*(x.unbind(-1) for x in series), strict=True):
        added = (step * value)[..., None] * write[:, :, None]
        h = torch.exp(step[..., None] * rates) * h + added
        results.append((h * look[:, :, None]).sum(-1))
    y = torch.stack(results, dim=-1).flatten(1, 2)
    if skip is not None:
        y = y + skip[:, None] * u
    return (y if gate is None else y * F.silu(gate)).to(u.dtype), h.flatten(1, 2)


def scan_flops(batch: int, channels: int, length: int, state: int) -> int:
    """Floating point operations of the recurrence, by a customary count of what the compiled kernel does.

    Nine for each step, channel and state, whatever form computes them, and a multiply-add for the direct weight of the
    input. The softplus of the steps and the gate are left out, as element-wise operations are elsewhere.

    Source: 9 b l d n, issue 110 of the repository state-spaces/mamba and the code of VMamba (arXiv:2401.10166).

    >>> scan_flops(1, 2, 3, 4)
    228
    """
    return batch * channels * length * (9 * state + 2)


def state_type(u: Tensor) -> torch.dtype:
    """The state is float32 however short the inputs are: rounding adds up over thousands of steps."""
    return torch.float64 if u.dtype == torch.float64 else torch.float32


def check_shapes(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> None:
    """Refuse shapes that would broadcast into nonsense."""
    batch, channels, length = u.shape
    state = a.shape[-1]
    shape = (batch, state, length) if b.dim() == 3 else (batch, b.shape[1], state, length)
    fits = delta.shape == u.shape and a.shape == (channels, state) and length > 0
    if not fits or b.shape != shape or c.shape != b.shape or (b.dim() == 4 and channels % b.shape[1]):
        shapes = [tuple(x.shape) for x in (u, delta, a, b, c)]
        raise ConfigError(
            f"selective scan cannot use shapes {shapes} of u, delta, a, b, c: expected u and delta (batch, channels, "
            f"length), a (channels, state), b and c (batch, groups, state, length) with groups that divide the channels"
        )


@lru_cache(maxsize=1)
def compiled_kernel() -> Any:
    """The function of mamba-ssm for CUDA, or None if the package is missing or was built for other versions."""
    try:
        return importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    except (ImportError, OSError):  # OSError: its library asks for symbols that this torch does not have
        return None


def compiled_kernel_fits(u: Tensor, a: Tensor) -> bool:
    """Whether the compiled kernel can run these tensors."""
    return u.is_cuda and u.dtype != torch.float64 and a.shape[-1] <= 256 and compiled_kernel() is not None


def compiled_scan(
    u: Tensor,
    delta: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    gate: Tensor | None,
    delta_bias: Tensor | None,
    softplus: bool,
) -> tuple[Tensor, Tensor]:
    """The scan of mamba-ssm with our arguments; the last state carries no gradient there."""
    if not compiled_kernel_fits(u, a):
        raise ConfigError(
            "the compiled scan needs the package mamba-ssm (pip install mamba-ssm), tensors on a CUDA device, float32 "
            "or shorter, and at most 256 states; use kernel='chunked'"
        )
    rates, vectors = a.float(), [None if x is None else x.float() for x in (skip, delta_bias)]
    inputs = [x.contiguous() for x in (u, delta)]
    weights = [x.to(u.dtype).contiguous() for x in (b, c)]
    y, last = compiled_kernel()(*inputs, rates, *weights, vectors[0], gate, vectors[1], softplus, True)
    return y, last
