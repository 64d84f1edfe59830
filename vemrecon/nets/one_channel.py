"""Convolutions to a single channel, as the last layers of networks are, quick on processors.

Convolutions there make 16 channels at a time, so that a single one is paid 16 times. Instead one matrix product gives
every voxel's share in each of its neighbours, and the shares are moved there and added.
"""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARES = 2**20  # made at once: 4 MiB, which stay close to the processor


def plane_sums(planes: Tensor, weight: Tensor) -> Tensor:
    """Convolution of planes with few kernels, zeros beyond the ends.

    Args:
        planes: Shape (n, c, h, w); quickest where channels are neighbours in memory.
        weight: Shape (k, c, 3, 3).

    Returns:
        Shape (n, k, h, w).
    """
    h, w = planes.shape[2:]
    places = weight.permute(0, 2, 3, 1).flatten(0, 2)  # (k 9, c)
    made = []
    for part in planes.split(max(1, SHARES // (len(places) * h * w))):
        shares = torch.bmm(places.expand(len(part), -1, -1), part.flatten(2))  # (n, k 9, h w)
        padded = F.pad(shares.unflatten(2, (h, w)), (1, 1, 1, 1)).unflatten(1, (-1, 9))
        result = padded[:, :, 0, :h, :w].clone()
        for place, (row, column) in enumerate(product(range(3), repeat=2)):
            if place:
                result += padded[:, :, place, row : row + h, column : column + w]
        made.append(result)
    return torch.cat(made)


class ToOneChannel2d(nn.Conv2d):
    """3 x 3 convolution to one channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, c, h, w) to (n, 1, h, w)."""
        # Not while learning: the gradients of so many additions take longer than what they save.
        if x.device.type != "cpu" or torch.is_grad_enabled() or self.bias is None:
            return super().forward(x)
        return plane_sums(x, self.weight).add_(self.bias)


class ToOneChannel3d(nn.Conv3d):
    """3 x 3 x 3 convolution to one channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, c, z, y, x) to (n, 1, z, y, x)."""
        if x.device.type != "cpu" or self.bias is None:
            return super().forward(x)
        b, z = len(x), x.shape[2]
        made = plane_sums(x.transpose(1, 2).flatten(0, 1), self.weight[0].transpose(0, 1)).unflatten(0, (b, z))
        result = made[:, :, 1] + self.bias  # what a plane gives to itself, to the next one, and to the one before
        result[:, 1:] += made[:, :-1, 0]
        result[:, :-1] += made[:, 1:, 2]
        return result.unsqueeze(1)
