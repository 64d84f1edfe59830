"""`Plateau`: a learning rate that is halved when the training loss falls no further.

The trainer's own scheduler steps after the checkpoint of an epoch is written, so that a kill in between loses the step.
This one keeps its state in buffers, which every checkpoint holds, and acts at the start of the next epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

THRESHOLD = 1e-4  # relative; smaller progress is none


class Plateau(nn.Module):
    """Share of the first learning rate.

    Args:
        factor: What the rate is multiplied with on a plateau.
        patience: Epochs without progress that are still waited for.
    """

    share: Tensor
    best: Tensor
    waited: Tensor
    total: Tensor
    count: Tensor

    def __init__(self, factor: float = 0.5, patience: int = 5) -> None:
        super().__init__()
        self.factor, self.patience = factor, patience
        for name, start in (("share", 1.0), ("best", math.inf), ("waited", 0.0), ("total", 0.0), ("count", 0.0)):
            self.register_buffer(name, torch.tensor(start, dtype=torch.float64))

    @torch.no_grad()
    def add(self, loss: Tensor) -> None:
        """Count the loss of one batch."""
        self.total += loss.detach().to(self.total)
        self.count += 1

    @torch.no_grad()
    def next_epoch(self, over_devices: Callable[[Tensor], Tensor] = lambda loss: loss) -> float:
        """Close the epoch that has ended, if any, and give the share for the next one.

        Args:
            over_devices: Mean of a number over all devices.
        """
        if self.count > 0:
            loss = over_devices(self.total / self.count)
            better = bool(loss < self.best * (1 - THRESHOLD))
            self.best = torch.minimum(self.best, loss)
            self.waited = torch.zeros_like(self.waited) if better else self.waited + 1
            if self.waited > self.patience:
                self.share, self.waited = self.share * self.factor, torch.zeros_like(self.waited)
            self.total, self.count = torch.zeros_like(self.total), torch.zeros_like(self.count)
        return float(self.share)

    def set_rate(self, trainer: Trainer, first: float) -> None:
        """Give the optimizer its rate for the epoch that begins.

        Args:
            trainer: With one optimizer.
            first: Rate at the start of the training.
        """
        rate = first * self.next_epoch(lambda loss: trainer.strategy.reduce(loss, reduce_op="mean"))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = rate
