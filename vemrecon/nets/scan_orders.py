"""Continuous orders in which a scan visits the voxels of a grid: every step moves to a face neighbour.

An order is named by its axes from slowest to fastest, `F` the first, `h` the second and `W` the last axis of the grid;
a trailing `-` reverses it. Source: VEMamba, arXiv:2603.00887, axial-lateral chunking, as in the released code.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import ConfigError
from vemrecon.volume.region import Triple

AXES = "FhW"


def visited(grid: Triple, order: str) -> Tensor:
    """Flat index (f h + y) W + x of the voxel visited at every step, int64, shape (F * h * W,).

    The fastest axis runs to and fro with the parity of the middle one, and each plane is walked backwards if its index
    is odd.

    >>> visited((2, 2, 2), "FhW").tolist()
    [0, 1, 3, 2, 6, 7, 5, 4]
    """
    axes = [AXES.find(letter) for letter in order.removesuffix("-")]
    if sorted(axes) != [0, 1, 2]:
        raise ConfigError(f"scan order {order!r}: expected the letters F, h and W, and - to reverse, like 'hWF-'")
    voxels = torch.arange(math.prod(grid)).view(grid).permute(axes)  # (a, b, c)
    lines = voxels.clone()
    lines[:, 1::2] = voxels[:, 1::2].flip(2)
    planes = lines.flatten(1).clone()
    planes[1::2] = lines.flatten(1)[1::2].flip(1)
    steps = planes.flatten()
    return steps.flip(0) if order.endswith("-") else steps


@lru_cache(maxsize=64)
def scan_maps(grid: Triple, orders: tuple[str, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Voxel visited at every step and step at which every voxel is visited, each (orders, L), int64, on the device."""
    with torch.inference_mode(False):  # what is cached must serve training later
        steps = torch.stack([visited(grid, order) for order in orders])
        return steps.to(device), torch.argsort(steps, dim=1).to(device)


class Reorder(torch.autograd.Function):
    """Gather by one permutation per order; the gradient gathers by the inverse instead of scattering.

    A gather is faster than adding into places, and on a GPU it gives the same numbers in every run.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        """Shape (b, orders, c, l) with index (orders, l)."""
        ctx.save_for_backward(index, inverse)
        return torch.gather(x, 3, index[None, :, None].expand(x.shape))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient in the order of the input."""
        index, inverse = ctx.saved_tensors
        return Reorder.apply(gradients[0], inverse, index), None, None


def to_sequences(x: Tensor, grid: Triple, orders: tuple[str, ...]) -> Tensor:
    """Sequences in visiting order, (b, c, F * h * W) to (b, orders, c, F * h * W)."""
    steps, places = scan_maps(grid, orders, x.device)
    return Reorder.apply(x[:, None].expand(-1, len(orders), -1, -1), steps, places)


def to_grid(x: Tensor, grid: Triple, orders: tuple[str, ...]) -> Tensor:
    """Undo `to_sequences` for each order, shape (b, orders, c, F * h * W)."""
    steps, places = scan_maps(grid, orders, x.device)
    return Reorder.apply(x, places, steps)
