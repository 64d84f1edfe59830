"""What AENet and DGEAN learn by."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from vemrecon.nets.focal_frequency import focal_frequency_loss
from vemrecon.nets.losses import TAPS, ssim_loss


def section_loss(prediction: Tensor, target: Tensor, *, ssim: float = 1.0, frequency: float = 100.0) -> Tensor:
    """Mean absolute error + `ssim` (1 - SSIM) + `frequency` times the focal frequency loss.

    Args:
        prediction: Shape (b, 1, y, x), not clipped.
        target: Same shape, in [0, 1].
        ssim: Weight; windows at the border see the edge repeated.
        frequency: Weight.

    Source: D2R with AENet (all three terms and weights); FLAVR's code (border of the SSIM).
    """
    loss = F.l1_loss(prediction, target)
    if ssim:
        loss = loss + ssim * ssim_loss(edge_repeated(prediction), edge_repeated(target))
    if frequency:
        loss = loss + frequency * focal_frequency_loss(prediction, target)
    return loss


def edge_repeated(images: Tensor, margin: int = TAPS // 2) -> Tensor:
    """Images (b, c, y, x) continued by their edge, so that an SSIM window fits everywhere."""
    return F.pad(images, (margin,) * 4, mode="replicate")
