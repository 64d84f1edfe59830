"""Focal frequency loss: squared error of the spectrum, weighted towards the frequencies that are hardest to restore.

Source: Jiang et al., "Focal frequency loss for image reconstruction and synthesis", ICCV 2021, arXiv:2012.12821.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vemrecon.errors import DataError


def spectral_distance(prediction: Tensor, target: Tensor, *, patches: int = 1, average: bool = False) -> Tensor:
    """Squared magnitude of the difference of two orthonormal Fourier spectra.

    Args:
        prediction: Shape (b, c, y, x).
        target: The same shape.
        patches: Cut images into `patches` x `patches` equal parts with a spectrum each.
        average: Compare the mean spectra of the batch.

    Returns:
        Shape (patches^2, b, c, y / patches, x / patches), with b = 1 if averaged; float32 at least.

    Raises:
        DataError: If the shapes differ or cannot be cut.
    """
    if prediction.shape != target.shape or prediction.dim() != 4:
        raise DataError(
            f"the focal frequency loss compares two images of shape (b, c, y, x), got {tuple(prediction.shape)} and "
            f"{tuple(target.shape)}"
        )
    y, x = prediction.shape[-2:]
    if y % patches or x % patches:
        raise DataError(f"images of {y} x {x} cannot be cut into {patches} x {patches} equal patches")
    with torch.autocast(prediction.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
        error = prediction.to(dtype) - target.to(dtype)  # the transform is linear
        if average:
            error = error.mean(dim=0, keepdim=True)
        parts = error.unflatten(-2, (patches, -1)).unflatten(-1, (patches, -1))  # (b, c, p, y/p, p, x/p)
        parts = parts.permute(2, 4, 0, 1, 3, 5).flatten(0, 1)
        spectrum = torch.fft.fft2(parts, norm="ortho")
        return spectrum.real.square() + spectrum.imag.square()


def focal_weights(distance: Tensor, *, alpha: float = 1.0, log: bool = False, over_batch: bool = False) -> Tensor:
    """Weights in [0, 1] of the same shape, 1 where a spectrum is worst; they carry no gradient.

    Args:
        distance: See `spectral_distance`.
        alpha: Power of the unsquared distance.
        log: Take ln(1 + weight) before dividing by the largest one.
        over_batch: Divide by the largest weight of all spectra, not of each one.
    """
    weights = distance.detach().sqrt() ** alpha
    if log:
        weights = torch.log1p(weights)
    largest = weights.amax() if over_batch else weights.amax(dim=(-2, -1), keepdim=True)
    return torch.nan_to_num(weights / largest, nan=0.0).clamp(0, 1)  # 0 / 0 where images are equal


def focal_frequency_loss(
    prediction: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    patches: int = 1,
    average: bool = False,
    log: bool = False,
    over_batch: bool = False,
) -> Tensor:
    """Mean over batch, channels and spectrum of weight times squared distance, one number.

    Images in [0, 1]; D2R multiplies the result by 100. The options are those of `spectral_distance` and
    `focal_weights`.

    >>> focal_frequency_loss(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.5)).item()
    0.25
    """
    distance = spectral_distance(prediction, target, patches=patches, average=average)
    return (focal_weights(distance, alpha=alpha, log=log, over_batch=over_batch) * distance).mean()
