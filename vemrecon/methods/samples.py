"""Methods that draw samples of a tile: their mean and how far they disagree, without keeping all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from vemrecon.methods.base import Method, Tile


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


class SampledMethod(Method):
    """A method whose reconstruction is the mean of samples; more than one give an uncertainty."""

    samples: int
    """How many are averaged."""
    correction: ClassVar[int] = 0
    """1 for the unbiased standard deviation, 0 for that of the population."""

    @abstractmethod
    def sampled(self, tile: Tile, number: int = 0) -> Tensor:
        """One sample of a tile, shape (round(z * scale), y, x)."""

    def reconstruct(self, tile: Tile) -> Tensor:
        """Mean over all samples."""
        return self._mean_and_spread(tile)[0]

    @property
    def has_spread(self) -> bool:
        """Whether there are several samples."""
        return self.samples > 1

    def reconstruct_with_spread(self, tile: Tile) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation over samples, if there are several."""
        return self._mean_and_spread(tile) if self.samples > 1 else None

    def _mean_and_spread(self, tile: Tile) -> tuple[Tensor, Tensor]:
        mean, spread = mean_and_spread(lambda number: self.sampled(tile, number), self.samples, self.correction)
        return mean[None, None], spread[None, None]
