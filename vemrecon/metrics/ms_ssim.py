"""Multi-scale structural similarity of sections, and of small volumes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vemrecon.errors import unknown
from vemrecon.metrics.ms_ssim_variants import VARIANTS, Variant
from vemrecon.metrics.ssim_terms import C1, C2, moment_maps, similarity, similarity_terms
from vemrecon.metrics.whole_sections import ALL_PLANES, WholeSectionMetric
from vemrecon.metrics.windows import smooth
from vemrecon.volume.region import Region

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def multiscale_similarity(a: Tensor, b: Tensor, variant: Variant) -> Tensor:
    """MS-SSIM of a batch of images or volumes.

    Args:
        a: Grey levels, shape (n, y, x) or (n, z, y, x).
        b: The same shape.
        variant: Definition.

    Returns:
        One value per image, shape (n,).

    Source: Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216, equation 7; negative terms are set to 0.
    """
    axes = tuple(range(-1, -a.dim(), -1))
    a, b = a.to(torch.float64), b.to(torch.float64)
    pool = F.avg_pool2d if len(axes) == 2 else F.avg_pool3d
    result = torch.ones(len(a), dtype=torch.float64)
    for weight in WEIGHTS[:-1]:
        means = smooth(moment_maps(a, b, C1 + C2), variant.window, axes)
        _, _, contrast, variance = similarity_terms(means)
        result *= (contrast / variance).flatten(1).mean(dim=1).relu_() ** weight
        padding = [0 if variant.mirrors else n % 2 for n in a.shape[1:]]
        a, b = pool(a, 2, padding=padding), pool(b, 2, padding=padding)
    means = smooth(moment_maps(a, b, C1 + C2), variant.window, axes, reflect=variant.mirrors)
    return result * similarity(means).flatten(1).mean(dim=1).relu_() ** WEIGHTS[-1]


class MultiScaleStructuralSimilarity(WholeSectionMetric):
    """MS-SSIM of whole sections in three planes; each section is added once.

    Args:
        scopes: Regions to score.
        variant: Empty for the primary definition, `p11` or `p5`.
        planes: What to score out of xy, xz, yz and volume.

    Source: metrics.md, section 2.
    """

    def __init__(
        self, scopes: Sequence[Region], variant: str = "", planes: Collection[str] = ALL_PLANES, **options: Any
    ) -> None:
        super().__init__(scopes, planes, **options)
        if variant not in VARIANTS:
            raise unknown("MS-SSIM variant", variant, VARIANTS)
        self.variant = VARIANTS[variant]
        self.shortest, self.volumes = self.variant.shortest, self.variant.volumes

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """MS-SSIM of pairs of sections or volumes."""
        return multiscale_similarity(a, b, self.variant)
