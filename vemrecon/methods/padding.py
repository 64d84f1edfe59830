"""Sections enlarged to what a network takes, and cut back."""

from __future__ import annotations

import torch
from torch import Tensor


def padded(x: Tensor, multiple: int) -> Tensor:
    """Continue the last two axes at their ends by reflection, to the next multiple, however short they are.

    >>> padded(torch.tensor([[0, 1, 2]]), 4).shape
    torch.Size([4, 4])
    """
    for axis in (-2, -1):
        n = x.shape[axis]
        if n % multiple:
            period = max(2 * n - 2, 1)  # without repeating the edge
            at = torch.arange(-(-n // multiple) * multiple, device=x.device) % period
            x = x.index_select(axis, torch.minimum(at, period - at) if n > 1 else at)
    return x


def cropped(x: Tensor, like: Tensor) -> Tensor:
    """The part of the last two axes that `like` has."""
    return x[..., : like.shape[-2], : like.shape[-1]]
