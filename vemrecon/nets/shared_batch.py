"""What a network does with a whole batch, where several processes share it: the same as one process does."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


def sharing() -> int:
    """Processes that share every batch."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def whole_batch(part: Tensor) -> Tensor:
    """The batch that parts (b, ...) of all processes make, in its own order; no gradient goes through it.

    Processes have the examples at rank, rank + processes, ... of it, as `StridedSampler` deals them out.
    """
    if sharing() == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(sharing())]
    distributed.all_gather(parts, part.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by mean and variance of the whole batch, on a CPU too.

    PyTorch's own SyncBatchNorm is for GPUs alone; where Lightning puts it in, this is replaced by it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, channels, y, x), as `nn.BatchNorm2d`."""
        if not self.training or sharing() == 1:
            return super().forward(x)
        count = x.numel() / x.shape[1] * sharing()
        mean = cast(Tensor, all_reduce(x.sum((0, 2, 3)))) / count
        centred = x - mean[:, None, None]
        variance = cast(Tensor, all_reduce(centred.square().sum((0, 2, 3)))) / count
        with torch.no_grad():
            self._remember(mean, variance * count / (count - 1))
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is None:
            return centred * scale[:, None, None]
        return centred * (scale * self.weight)[:, None, None] + self.bias[:, None, None]

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
