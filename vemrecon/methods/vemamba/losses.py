"""Losses of VEMamba's two training stages, and its learning-rate schedule."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vemrecon.nets.losses import l1_ssim_loss


def reconstruction_loss(reconstruction: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference plus 1 - SSIM with a three-dimensional window.

    The released loss adds LPIPS as a number without gradient; it is left out, which changes no gradient.

    Args:
        reconstruction: Shape (b, 1, F, h, W), not clipped.
        truth: Same shape, in [0, 1].
    """
    return l1_ssim_loss(reconstruction, truth, dims=3)


def contrast_loss(logits: Tensor) -> Tensor:
    """Cross-entropy of logits (b, 1 + queue) for the first column, mean over the batch."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def warmup_cosine(step: int, warmup: int, total: int) -> float:
    """Learning-rate multiplier of a step counted from 0: linear from 0 to 1 during warm-up, then half a cosine to 0.

    >>> [round(warmup_cosine(step, 10, 30), 6) for step in (0, 5, 10, 20, 30, 31)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    """
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(total - warmup, 1), 1.0)))
