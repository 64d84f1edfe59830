"""Learning rates over a stage."""

from __future__ import annotations

import math
from typing import Any

import torch

from vemrecon.methods.stage import Stage


def falling(optimizer: torch.optim.Optimizer, stage: Stage, last: float = 0.0) -> dict[str, Any]:
    """What `configure_optimizers` returns for a rate that falls along half a cosine, batch by batch.

    Args:
        optimizer: With the first rate.
        stage: At work; its batches are the length of the cosine.
        last: Rate at the end.
    """
    batches = stage.epochs * stage.batches_per_epoch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, batches, eta_min=last)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmed(optimizer: torch.optim.Optimizer, stage: Stage, warm_up: int, *, cosine: bool = False) -> dict[str, Any]:
    """What `configure_optimizers` returns for a rate that rises from 0 first.

    Args:
        optimizer: With the rate that is reached.
        stage: At work.
        warm_up: Batches until the rate is reached, along a line.
        cosine: Whether it falls to 0 along half a cosine over the stage, or stays.
    """
    batches = stage.epochs * stage.batches_per_epoch

    def share(batch: int) -> float:
        rising = min(1.0, (batch + 1) / (warm_up + 1))
        return rising * (0.5 * (1 + math.cos(math.pi * batch / batches)) if cosine else 1.0)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
