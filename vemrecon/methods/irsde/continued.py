"""Thin sections continued: a network that takes means over a section needs enough of it."""

from __future__ import annotations

import torch
from torch import Tensor


def continued(sections: Tensor, least: tuple[int, int]) -> Tensor:
    """Continue the last two axes at their ends by reflection where they are shorter than wanted, however short.

    >>> continued(torch.tensor([[0, 1, 2]]), (1, 8))
    tensor([[0, 1, 2, 1, 0, 1, 2, 1]])
    """
    for axis, extent in zip((-2, -1), least, strict=True):
        n = sections.shape[axis]
        if n < extent:
            period = max(2 * n - 2, 1)  # without repeating the edge
            at = torch.arange(extent, device=sections.device) % period
            sections = sections.index_select(axis, torch.minimum(at, period - at) if n > 1 else at)
    return sections
