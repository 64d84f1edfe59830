"""SRUNet's loss: squared error, weighted up to twofold where cubic interpolation fails."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_error(interpolated: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of weight times squared error, one number.

    The weight is 1/2 where interpolation is right and 1 where it is worst in the batch.

    Args:
        interpolated: The observed block, interpolated along z; any shape and range.
        prediction: Output of the network, same shape.
        target: Truth, same shape.

    Source: code that D2R and vEMDiffuse share.
    """
    error = (interpolated - target).square()
    worst = error.amax().clamp_min(torch.finfo(error.dtype).tiny)  # 0 for a flat batch
    return ((error / (2 * worst) + 0.5) * (prediction - target).square()).mean()
