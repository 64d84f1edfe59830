"""Learned perceptual distance of sections: LPIPS of the package of this name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from vemrecon.metrics.whole_sections import ALL_PLANES, WholeSectionMetric
from vemrecon.perceptual import NETWORKS, perceptual_distance
from vemrecon.volume.region import Region

CHUNK_PIXELS = 2**17  # of a batch; the maps of VGG16 take about 1.8 kB per pixel of a pair


class PerceptualSimilarity(WholeSectionMetric):
    """LPIPS of whole sections in three planes, float32; each section is added once. Lower is better.

    Learned from photographs: it ranks reconstructions of grey sections, and certifies none.

    Args:
        scopes: Regions to score.
        network: `vgg` or `alex`.
        planes: What to score out of xy, xz and yz.

    Raises:
        PerceptualError: If the package or its published weights are not here.

    Source: metrics.md, section 2.
    """

    one_by_one = True

    def __init__(
        self, scopes: Sequence[Region], network: str, planes: Collection[str] = ALL_PLANES, **options: Any
    ) -> None:
        super().__init__(scopes, planes, **options)
        self.distance = perceptual_distance(network)
        self.shortest = NETWORKS[network].shortest

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """LPIPS of pairs of sections, shape (n, rows, columns), float64."""
        images = max(1, CHUNK_PIXELS // (a.shape[1] * a.shape[2]))
        parts = [
            self.distance(p[:, None] / 255, q[:, None] / 255)
            for p, q in zip(a.split(images), b.split(images), strict=True)
        ]
        return torch.cat(parts).to(torch.float64)
