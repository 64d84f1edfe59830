"""Running average of weights: what is used after training is smoother than what was learned last.

Source: the defaults of the package that the released D2R code uses (decay ramp with power 2/3, at most 0.995).
"""

from __future__ import annotations

import torch
from torch import nn

COPIED = 101  # batches until which the average is a copy
MOST = 0.995


def average_decay(batch: int, every: int = 10) -> float | None:
    """What the average keeps of itself after a batch, counted from 1; None if it rests.

    >>> [average_decay(batch) for batch in (1, 2, 101)], round(average_decay(201), 3), average_decay(10**6 + 1)
    ([0.0, None, 0.0], 0.954, 0.995)
    """
    if (batch - 1) % every:
        return None
    return 0.0 if batch <= COPIED else min(MOST, 1 - (1 + batch - COPIED) ** (-2 / 3))


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the average towards a network."""
    for mean, weight in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
