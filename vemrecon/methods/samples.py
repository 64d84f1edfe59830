"""Several samples of one tile: their mean and how far they disagree, without keeping all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def mean_and_spread(sample: Callable[[int], Tensor], count: int, correction: int = 0) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of samples 0 to `count - 1`, voxel by voxel; the latter is 0 for a single sample.

    Args:
        sample: Makes the sample of a number.
        count: Of samples.
        correction: 1 for the unbiased variance.

    >>> mean, spread = mean_and_spread(lambda n: torch.tensor([1.0, 2 * n]), 2, correction=1)
    >>> mean.tolist(), [round(s, 3) for s in spread.tolist()]
    ([1.0, 1.0], [0.0, 1.414])
    """
    mean = squares = torch.zeros(())
    for number in range(count):
        found = sample(number)
        before = found - mean.to(found)
        mean = mean.to(found) + before / (number + 1)
        squares = squares.to(found) + before * (found - mean)
    return mean, (squares / max(1, count - correction)).clamp_min(0).sqrt()
