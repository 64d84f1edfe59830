"""Phase congruency: where the local Fourier components of an image are in phase, as at edges and lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

ORIENTATIONS = 4
WAVELENGTHS = (6, 12, 24, 48)
"""Of the four scales, in pixels."""

BANDWIDTH = 0.55  # of the log-Gabor filters: spread over centre frequency
ANGULAR_SPREAD = math.pi / ORIENTATIONS / 1.2
CUTOFF, SHARPNESS = 0.45, 30  # low pass that removes the corners of the frequency plane
NOISE_SPREADS = 2  # the threshold lies this many standard deviations above the mean response to noise
NOISE_DIVISOR = 1.7  # empirical: the estimate of the noise is too large


@dataclass(frozen=True)
class Filters:
    """The bank of filters for images of one shape."""

    gains: Tensor
    """One-sided filters, zero frequency in the corner, shape (orientations, scales, y, x)."""
    thresholds: Tensor
    """Energy that noise explains, per unit of the median amplitude at the finest scale, shape (orientations,)."""


def frequencies(n: int) -> Tensor:
    """Frequencies along an axis in cycles per pixel, zero first, float64, shape (n,).

    Odd axes are divided by n - 1 and end at 1/2 on both sides, as in the authors' code and PIQ.

    >>> frequencies(4).tolist(), frequencies(5).tolist()
    ([0.0, 0.25, -0.5, -0.25], [0.0, 0.25, 0.5, -0.5, -0.25])
    """
    return torch.roll(torch.arange(n, dtype=torch.float64) - n // 2, -(n // 2)) / (n - n % 2)


@lru_cache(maxsize=4)  # three planes, and room for one more; images of 250 x 1000 take 16 MB
def filters(rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Filters:
    """Log-Gabor filters of four scales and four orientations for images of a shape; sides of 2 pixels or more.

    The threshold of the definition is proportional to the root of the median squared amplitude at the finest scale, so
    all that depends on the filters alone is computed here, once per shape.

    Source: Zhang et al. 2011, doi:10.1109/TIP.2011.2109730, section II-A; Kovesi 1999, "Image features from phase
    congruency"; grid and orientation of the axes as in PIQ 0.8.0.
    """
    u, v = torch.meshgrid(frequencies(rows), frequencies(columns), indexing="ij")
    radius, theta = torch.hypot(u, v), torch.atan2(-v, u)
    low_pass = 1 / (1 + (radius / CUTOFF) ** SHARPNESS)
    radius[0, 0] = 1  # its logarithm is not needed
    centres = 1 / torch.tensor(WAVELENGTHS, dtype=torch.float64)[:, None, None]
    radial = torch.exp(-(torch.log(radius / centres) ** 2) / (2 * math.log(BANDWIDTH) ** 2)) * low_pass
    radial[:, 0, 0] = 0
    angles = torch.arange(ORIENTATIONS, dtype=torch.float64)[:, None, None] * math.pi / ORIENTATIONS
    away = torch.atan2(torch.sin(theta - angles), torch.cos(theta - angles))
    angular = torch.exp(-(away**2) / (2 * ANGULAR_SPREAD**2))
    gains = angular[:, None] * radial  # (orientations, scales, y, x)

    kernels = torch.fft.ifft2(gains.sum(dim=1)).real * math.sqrt(rows * columns)
    spread = (kernels**2).sum(dim=(-2, -1)) / (gains[:, 0] ** 2).sum(dim=(-2, -1)) / math.log(2)
    level = math.sqrt(math.pi / 2) + NOISE_SPREADS * math.sqrt(2 - math.pi / 2)  # mean and spread of a Rayleigh law
    return Filters(gains.to(device, dtype), (spread.sqrt() * level / NOISE_DIVISOR).to(device, dtype))


def phase_congruency(images: Tensor) -> Tensor:
    """Phase congruency of every pixel, in [0, 1]; 1 everywhere in a constant image.

    Args:
        images: Shape (n, y, x), float32 or float64, any range; the result has the same shape and dtype. A few hundred
            bytes per pixel are in use meanwhile.

    Source: as `filters`; energy, threshold and sums as in PIQ 0.8.0. An image has n y x amplitudes per scale, and the
    median of an even number of them is the lower of the middle two.
    """
    bank = filters(*images.shape[1:], images.dtype, images.device)
    tiny = torch.finfo(images.dtype).eps
    # No filter passes the zero frequency. Without the first grey level a constant image is zero, and stays exactly so.
    spectrum = torch.view_as_real(torch.fft.fft2(images - images[:, :1, :1]))[:, None]  # (n, 1, y, x, 2)
    energy, amplitude = torch.zeros_like(images), torch.zeros_like(images)
    for gains, threshold in zip(bank.gains, bank.thresholds, strict=True):
        response = torch.view_as_real(torch.fft.ifft2(torch.view_as_complex(spectrum * gains[..., None])))
        even, odd = (part.contiguous() for part in response.unbind(-1))  # (n, scales, y, x)
        amplitudes = torch.hypot(even, odd)
        amplitude += amplitudes.sum(dim=1)
        sum_even, sum_odd = even.sum(dim=1, keepdim=True), odd.sum(dim=1, keepdim=True)
        squared = (sum_even**2 + sum_odd**2)[:, 0]
        across = even.mul_(sum_odd).sub_(odd.mul_(sum_even)).abs_().sum(dim=1)
        noise = threshold * amplitudes[:, 0].flatten(1).median(dim=1).values
        energy += ((squared - across) / (squared.sqrt() + tiny) - noise[:, None, None]).clamp_(min=0)
    return (energy + tiny) / (amplitude + tiny)
