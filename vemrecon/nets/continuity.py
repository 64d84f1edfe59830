"""How evenly a stack of predicted slices changes: small and equal perceptual steps from slice to slice.

Source: D2R with DGEAN (continuity loss); Gini coefficient of the steps as the continuity metric defines it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from vemrecon import perceptual
from vemrecon.errors import unknown

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two batches of slices (n, 1, y, x) in [0, 1] to n distances."""
SmoothSign = Literal["gini", "paper"]


def gini_coefficient(distances: Tensor) -> Tensor:
    """Mean absolute difference of all pairs over twice the mean: 0 for equal distances, towards 1 for a single jump.

    `sum_ij |x_i - x_j| / (2 n^2 mean(x))` over the n distances of the last axis; 0 where all are 0.

    >>> gini_coefficient(torch.tensor([0.0, 0.0, 0.0, 1.0])).item()
    0.75
    """
    pairs = (distances.unsqueeze(-1) - distances.unsqueeze(-2)).abs().mean(dim=(-2, -1))
    mean = distances.mean(dim=-1)
    return torch.where(mean > 0, pairs / (2 * mean.where(mean > 0, 1.0)), 0.0)


def continuity_loss(slices: Tensor, distance: Distance, smooth_sign: SmoothSign = "gini") -> Tensor:
    """Mean step plus unevenness of the steps of one stack.

    Args:
        slices: Shape (n, 1, y, x) in their order, at least two, in [0, 1].
        distance: Between neighbours.
        smooth_sign: `gini` minimises the Gini coefficient; `paper` adds 1 - G as printed, which rewards uneven steps.

    Raises:
        ConfigError: If the sign is unknown.
    """
    if smooth_sign not in get_args(SmoothSign):
        raise unknown("smooth_sign", smooth_sign, get_args(SmoothSign))
    steps = distance(slices[:-1], slices[1:])
    gini = gini_coefficient(steps)
    return steps.mean() + (gini if smooth_sign == "gini" else 1 - gini)


def perceptual_distance(device: torch.device | str = "cpu") -> Distance | None:
    """LPIPS with AlexNet and its published weights; None, with one warning, where these are not to be had."""
    try:
        return perceptual.perceptual_distance("alex", device)
    except perceptual.PerceptualError as error:
        warnings.warn(f"the continuity loss is off: {error}", stacklevel=2)
        return None
