"""Selective scan in plain torch whose memory does not grow with length times state.

The sequence is cut into blocks that follow one another, and each block into chunks that run side by side. In a block

1. every chunk runs its recurrence from a zero state, all chunks at once, one small operation per step;
2. the state at the start of every chunk follows from these ends and from the decay over a whole chunk, exp(a sum dt),
   by doubling the distance that a state has travelled;
3. every chunk runs again from its true state.

Decays are only ever multiplied, never divided by, so stiff systems (decay that underflows to zero) lose nothing. The
forward pass keeps the state between blocks; the backward pass recomputes one block at a time, last block first, and
runs the same three steps for the adjoint recurrence. Memory beside inputs and results is a few blocks.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CPU_ELEMENTS = 3 * 2**19  # batch x channels x state x steps of one block: 6 MiB per tensor, near the cache
GPU_ELEMENTS = 2**25  # a GPU wants few large operations; four tensors of 128 MiB
SHORTEST_BLOCK = 512  # steps; shorter blocks spend their time on starting operations


def block_length(lanes: int, length: int, device: str, elements: int | None = None) -> int:
    """Steps of one block.

    Args:
        lanes: Batch times channels times state.
        length: Steps of the whole sequence.
        device: Type of the device.
        elements: Size of a block in numbers; None for the default of the device.
    """
    if elements is None:
        elements = max(CPU_ELEMENTS if device == "cpu" else GPU_ELEMENTS, SHORTEST_BLOCK * lanes)
    return min(max(elements // lanes, 1), length)


def chunk_shape(length: int) -> tuple[int, int]:
    """Number of chunks of a block, and steps of one chunk; together at least the length.

    Chunks are the innermost axis of all tensors, so there are more chunks than steps.

    >>> chunk_shape(1024)
    (64, 16)
    >>> chunk_shape(1)
    (1, 1)
    """
    steps = max(1, round(math.sqrt(length) / 2))
    return math.ceil(length / steps), steps


def side_by_side(x: Tensor, chunks: int, steps: int) -> Tensor:
    """Cut the last axis into chunks, zeros beyond its end: (..., l) to (steps, ..., chunks), contiguous."""
    missing = chunks * steps - x.shape[-1]
    x = F.pad(x, (0, missing)) if missing else x
    return x.unflatten(-1, (chunks, steps)).movedim(-1, 0).contiguous()


def in_a_row(x: Tensor, length: int) -> Tensor:
    """Undo `side_by_side`: (steps, ..., chunks) to (..., length)."""
    return x.movedim(0, -1).flatten(-2)[..., :length]


def carry(product: Tensor, end: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """States before every chunk, and after the last, from what the chunks do to a state.

    Args:
        product: Decay over each chunk, shape (..., chunks); overwritten.
        end: State after each chunk if it starts from zero, shape (..., chunks); overwritten.
        start: State before the first chunk, shape (...).
    """
    end[..., 0].addcmul_(product[..., 0], start)
    distance = 1
    while distance < end.shape[-1]:
        end[..., distance:] += product[..., distance:] * end[..., :-distance]
        product[..., distance:] = product[..., distance:] * product[..., :-distance]
        distance *= 2
    return torch.cat([start[..., None], end[..., :-1]], dim=-1), end[..., -1].clone()


class Block:
    """One block of the sequence with its chunks side by side.

    All tensors are (steps, batch, groups, state, channels of a group, chunks), with 1 where an axis is missing.
    """

    def __init__(
        self, inputs: tuple[Tensor, Tensor, Tensor, Tensor], a: Tensor, span: slice, softplus: bool, bias: Tensor | None
    ) -> None:
        u, delta, b, c = (x[..., span].to(a.dtype) for x in inputs)
        self.length = u.shape[-1]
        self.chunks, steps = chunk_shape(self.length)
        self.a = a[..., None]  # (g, n, d, 1)
        raw = delta if bias is None else delta + bias[..., None]
        self.slope = torch.sigmoid(raw).masked_fill_(raw > 20, 1) if softplus else None  # of dt by delta
        dt = F.softplus(raw) if softplus else raw  # identity above 20
        # Padding steps have dt = 0: they leave the state alone and add nothing.
        self.dt, self.u = (side_by_side(x, self.chunks, steps).unsqueeze(3) for x in (dt, u))  # (t, b, g, 1, d, k)
        self.b, self.c = (side_by_side(x, self.chunks, steps).unsqueeze(4) for x in (b, c))  # (t, b, g, n, 1, k)
        self.decay = (self.dt * self.a).exp_()  # (t, b, g, n, d, k)

    def chunk_decay(self) -> Tensor:
        """Decay over whole chunks, shape (b, g, n, d, k)."""
        return (self.dt.sum(0) * self.a).exp_()

    def states(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """States before the first step and after every step (steps + 1, ...), and the state after the block."""
        steps = len(self.decay)
        states = torch.empty((steps + 1, *self.decay.shape[1:]), dtype=self.decay.dtype, device=self.decay.device)
        added = states[1:]
        torch.mul(self.dt * self.u, self.b, out=added)  # dt B u
        h = added[0].clone()
        for t in range(1, steps):
            torch.addcmul(added[t], self.decay[t], h, out=h)
        states[0], last = carry(self.chunk_decay(), h, start)
        for t in range(steps):
            torch.addcmul(added[t], self.decay[t], states[t], out=added[t])
        return states, last

    def adjoint(self, grad_y: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient by the state after every step (steps, ...), and by the state before the block.

        Args:
            grad_y: Gradient by the sum over states, shape (t, b, g, 1, d, k).
            after: Gradient by the state after the block, from later blocks, shape (b, g, n, d).
        """
        adjoint = self.c * grad_y  # (t, b, g, n, d, k)
        steps = len(adjoint)
        h = adjoint[-1].clone()
        for t in range(steps - 2, -1, -1):
            torch.addcmul(adjoint[t], self.decay[t + 1], h, out=h)
        h *= self.decay[0]
        later, before = carry(self.chunk_decay().flip(-1), h.flip(-1), after)
        adjoint[-1] += later.flip(-1)
        for t in range(steps - 2, -1, -1):
            torch.addcmul(adjoint[t], self.decay[t + 1], adjoint[t + 1], out=adjoint[t])
        return adjoint, before


class ChunkedScan(torch.autograd.Function):
    """The recurrence with its own backward pass.

    Inputs are grouped: u, delta (b, g, d, l), a (g, n, d), b, c (b, g, n, l), skip and bias (g, d) or None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        a: Tensor,
        b: Tensor,
        c: Tensor,
        skip: Tensor | None,
        bias: Tensor | None,
        softplus: bool,
        block: int,
    ) -> tuple[Tensor, Tensor]:
        """Result (b, g, d, l), and the last state (b, g, n, d)."""
        y = torch.empty_like(u, memory_format=torch.contiguous_format)
        state = u.new_zeros((len(u), *a.shape), dtype=a.dtype)
        starts = []
        for first in range(0, u.shape[-1], block):
            span = slice(first, first + block)
            starts.append(state)
            part = Block((u, delta, b, c), a, span, softplus, bias)
            states, state = part.states(state)
            result = states[1:].mul_(part.c).sum(3)  # (t, b, g, d, k)
            if skip is not None:
                result.addcmul_(part.u[:, :, :, 0], skip[..., None])
            y[..., span] = in_a_row(result, part.length)
        ctx.save_for_backward(u, delta, a, b, c, skip, bias, torch.stack(starts))
        ctx.softplus, ctx.block = softplus, block
        return y, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by all tensor inputs, block by block from the end."""
        u, delta, a, b, c, skip, bias, starts = ctx.saved_tensors
        grad_y, after = gradients[0], gradients[1].to(a.dtype)
        grad_u, grad_delta, grad_b, grad_c = (
            torch.empty_like(x, memory_format=torch.contiguous_format) for x in (u, delta, b, c)
        )
        grad_a, totals = torch.zeros_like(a), a.new_zeros(2, a.shape[0], a.shape[2])
        for number in range(len(starts) - 1, -1, -1):
            span = slice(number * ctx.block, (number + 1) * ctx.block)
            part = Block((u, delta, b, c), a, span, ctx.softplus, bias)
            states, _ = part.states(starts[number])
            incoming = side_by_side(grad_y[..., span].to(a.dtype), part.chunks, len(part.dt)).unsqueeze(3)
            adjoint, after = part.adjoint(incoming, after)
            scratch = torch.mul(states[1:], incoming)
            grad_c[..., span] = in_a_row(scratch.sum(4), part.length)
            exponent = states[:-1].mul_(part.decay).mul_(adjoint)  # gradient by dt * a
            grad_a += torch.mul(exponent, part.dt, out=scratch).sum((0, 1)).sum(-1)
            by_dt = torch.mul(exponent, part.a, out=scratch).sum(3)
            by_input = torch.mul(adjoint, part.b, out=scratch).sum(3)  # gradient by dt * u; (t, b, g, d, k)
            dt, v, g = (x[:, :, :, 0] for x in (part.dt, part.u, incoming))
            by_dt.addcmul_(by_input, v)
            torch.mul(adjoint, part.dt * part.u, out=scratch)
            grad_b[..., span] = in_a_row(scratch.sum(4), part.length)
            by_u = by_input.mul_(dt)
            if skip is not None:
                by_u.addcmul_(g, skip[..., None])
                totals[0] += (g * v).sum((0, 1, 4))
            grad_u[..., span] = in_a_row(by_u, part.length)
            by_delta = in_a_row(by_dt, part.length)
            by_delta = by_delta if part.slope is None else by_delta * part.slope
            totals[1] += by_delta.sum((0, 3))
            grad_delta[..., span] = by_delta
        grad_skip, grad_bias = (None if x is None else t.to(x.dtype) for x, t in zip((skip, bias), totals, strict=True))
        return grad_u, grad_delta, grad_a, grad_b, grad_c, grad_skip, grad_bias, None, None
