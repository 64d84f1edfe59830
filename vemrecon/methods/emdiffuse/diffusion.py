"""The diffusion of single images in [-1, 1]: forwards, to the clean image, and the losses of a noise network.

Source: the vEMDiffuse release. Its article weighs errors by how hard a place is; every released training takes the
plain mean.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def like(images: Tensor, numbers: Tensor | float) -> Tensor:
    """One number, or one for each image, in a form that multiplies images."""
    return torch.as_tensor(numbers, device=images.device).to(images.dtype).reshape(-1, 1, 1, 1)


def signed(images: Tensor) -> Tensor:
    """From [0, 1] to [-1, 1]."""
    return 2 * images - 1


def unsigned(images: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return (images + 1) / 2


def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """Of images in [0, 1], in dB."""
    return -10 * torch.log10((images - truth).square().mean().clamp_min(1e-10))


def sizes(images: Tensor, gamma: Tensor, residual: float) -> tuple[Tensor, Tensor]:
    """Standard deviations in states at gamma: of what is not known of the images, and of the noise.

    Args:
        images: That the results multiply.
        gamma: Shape (b,).
        residual: Standard deviation of what is not known of clean images, in intensities of [0, 1].
    """
    share = like(images, gamma)
    return 2 * residual * share.sqrt(), (1 - share).sqrt()


def noisy(image: Tensor, noise: Tensor, gamma: Tensor | float) -> Tensor:
    """The state at gamma for standard normal noise."""
    share = like(image, gamma)
    return share.sqrt() * image + (1 - share).sqrt() * noise


def clean(state: Tensor, noise: Tensor, gamma: float) -> Tensor:
    """The image behind a state and an estimate of its noise, clipped to [-1, 1]."""
    return ((state - (1 - gamma) ** 0.5 * noise) / gamma**0.5).clamp(-1, 1)


def difficulty_loss(
    error: Tensor, log_variance: Tensor, *, weight: float = 1.0, shares: Tensor | None = None
) -> Tensor:
    """Likelihood of errors whose variance the network tells too.

    Args:
        error: Of the noise, shape (b, 1, h, w).
        log_variance: Of the error, in the same shape.
        weight: Factor of the logarithm.
        shares: How much it counts, voxel by voxel; between 0.01 and 1.
    """
    log_variance = weight * log_variance
    if shares is not None:
        log_variance = log_variance * shares.clamp(0.01, 1)
    return 0.5 * ((-log_variance).exp() * error.square() + log_variance).mean()


def ranking_loss(error: Tensor, log_variance: Tensor) -> Tensor:
    """Whether images with larger errors are told to have larger variances, by pairs of the batch from both ends."""
    told, found = log_variance.mean((1, 2, 3)), error.detach().square().mean((1, 2, 3))
    half = len(error) // 2
    larger = torch.where(found > found.flip(0), 1.0, -1.0)[:half]
    return F.relu(1 - larger * (told - told.flip(0))[:half]).mean()
