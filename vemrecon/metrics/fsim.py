"""Feature similarity of sections: phase congruency and gradients, weighted by phase congruency."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.metrics.phase_congruency import phase_congruency
from vemrecon.metrics.whole_sections import WholeSectionMetric

SHORTEST_SIDE = 24  # half the longest wavelength; values of smaller images exist, but mean nothing
FULL_SIDE = 256  # longer images are averaged until the short side is about this
T1 = 0.85  # of phase congruency
T2 = 160  # of gradients, on the scale of 0 to 255
CHUNK_PIXELS = 2**17  # one or two images of 250 x 250: what is worked on stays near the processor


def pool_factor(rows: int, columns: int) -> int:
    """Edge of the blocks that an image is averaged over before it is compared.

    >>> [pool_factor(n, 1000) for n in (250, 383, 384, 500, 640, 641)]
    [1, 1, 2, 2, 2, 3]
    """
    return max(1, round(min(rows, columns) / FULL_SIDE))


def pooled(images: Tensor) -> Tensor:
    """Block means of images, shape (n, y, x); rows and columns that fill no block are dropped."""
    factor = pool_factor(*images.shape[1:])
    return F.avg_pool2d(images, factor) if factor > 1 else images


def gradient_magnitude(images: Tensor) -> Tensor:
    """Length of the Scharr gradient, zeros around the image, shape (n, y, x) as the images."""
    across = torch.tensor([[-3.0, 0, 3], [-10, 0, 10], [-3, 0, 3]], dtype=images.dtype, device=images.device) / 16
    kernels = torch.stack([across, across.T])[:, None]
    return F.conv2d(images[:, None], kernels, padding=1).square_().sum(dim=1).sqrt_()


def feature_similarity(a: Tensor, b: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """FSIM of a batch of grey images.

    About 0 to 1, 1 for identical images, symmetric. Nearly blind to brightness and to inverted contrast, so it must not
    rank methods alone. Images with a short side of 384 pixels or more are compared at reduced size: values of images of
    different size are not comparable.

    Args:
        a: Grey levels from 0 to 255, shape (n, y, x), any dtype.
        b: The same shape.
        dtype: What is computed in: float32, or float64 for values to the eighth digit.

    Returns:
        One value per image, shape (n,), float64.

    Raises:
        DataError: If the shapes differ, a side is shorter than 24 pixels, or a value lies outside 0 to 255.

    Source: Zhang et al. 2011, doi:10.1109/TIP.2011.2109730, equations 4 to 9; constants and borders as in PIQ 0.8.0
    (`fsim(chromatic=False)`).
    """
    _check(a, b)
    rows, columns = (n // pool_factor(*a.shape[1:]) for n in a.shape[1:])
    images = max(1, CHUNK_PIXELS // (rows * columns))
    parts = [
        _similarity(pooled(p.to(dtype)), pooled(q.to(dtype)))
        for p, q in zip(a.split(images), b.split(images), strict=True)
    ]
    return torch.cat(parts)


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    phase_a, phase_b = phase_congruency(a), phase_congruency(b)
    alike = _alike(phase_a, phase_b, T1) * _alike(gradient_magnitude(a), gradient_magnitude(b), T2)
    weight = torch.maximum(phase_a, phase_b)
    return _total(alike * weight) / _total(weight)


def _alike(a: Tensor, b: Tensor, constant: float) -> Tensor:
    return (2 * a * b + constant) / (a**2 + b**2 + constant)


def _total(values: Tensor) -> Tensor:
    return values.sum(dim=(-2, -1), dtype=torch.float64)


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.dim() != 3:
        raise DataError(f"FSIM compares two batches (n, y, x) of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    if min(a.shape[1:]) < SHORTEST_SIDE:
        raise DataError(f"FSIM needs sides of {SHORTEST_SIDE} pixels or more, got {tuple(a.shape[1:])} (y, x)")
    for images in (a, b):
        low, high = (v.item() for v in torch.aminmax(images)) if len(images) else (0, 0)
        if not (low >= 0 and high <= 255):  # NaN is neither
            raise DataError(f"FSIM takes grey levels from 0 to 255, got values from {low:g} to {high:g}")


class FeatureSimilarity(WholeSectionMetric):
    """FSIM of whole sections in three planes, float32; each section is added once.

    A median over the section and the reduction of large sections make a section's value more than a mean over its
    pixels, so sections are never tiled.

    Source: metrics.md, section 2.
    """

    shortest = SHORTEST_SIDE

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """FSIM of pairs of sections, shape (n, rows, columns)."""
        return feature_similarity(a, b)
