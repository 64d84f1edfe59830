"""Learning rates over a stage."""

from __future__ import annotations

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
