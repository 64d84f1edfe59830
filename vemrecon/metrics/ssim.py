"""Structural similarity of sections in three planes and of the volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import unknown
from vemrecon.metrics.psnr import DATA_RANGE
from vemrecon.metrics.sections import SectionMetric
from vemrecon.metrics.tiles import TilePair
from vemrecon.metrics.windows import apply_band, band, window
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, Triple, triple

C1 = (0.01 * DATA_RANGE) ** 2
C2 = (0.03 * DATA_RANGE) ** 2

WINDOWS: dict[str, str] = {"gaussian11": "gaussian11", "uniform7": "uniform7", "torchmetrics": "gaussian11"}
"""Variant to the name of its window."""


def moment_maps(a: Tensor, b: Tensor, contrast_constant: float) -> Tensor:
    """The four maps whose local means give every term of the similarity, shape (4, ...), float64.

    With d = (a + b) / sqrt 2 and e = (a - b) / sqrt 2 the maps are d, e, d^2 - e^2 = 2ab and d^2 + e^2 = a^2 + b^2, the
    last two raised by constants. Windows sum to one, so the constants pass through the smoothing.
    """
    maps = torch.empty((4, *a.shape), dtype=torch.float64)
    a, b = a.to(torch.float64), b.to(torch.float64)
    torch.add(a, b, out=maps[0]).mul_(0.5**0.5)
    torch.sub(a, b, out=maps[1]).mul_(0.5**0.5)
    torch.mul(a, b, out=maps[2]).mul_(2).add_(C1 + contrast_constant)
    torch.mul(a, a, out=maps[3]).addcmul_(b, b).add_(C1 + contrast_constant)
    return maps


def similarity_terms(means: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Numerators and denominators (luminance, contrast) of the similarity; overwrites the smoothed maps.

    Returns:
        `2 mu_a mu_b + C1`, `mu_a^2 + mu_b^2 + C1`, `2 s_ab + c`, `s_a^2 + s_b^2 + c`, with the contrast constant c.
    """
    d, e, product, squares = means
    d.square_().add_(C1)
    e.square_()
    luminance = d - e
    d += e
    product -= luminance
    squares -= d
    return luminance, d, product, squares


def similarity(means: Tensor) -> Tensor:
    """Structural similarity at every window centre from smoothed maps (4, ...), which are overwritten."""
    luminance, brightness, contrast, variance = similarity_terms(means)
    return contrast.mul_(luminance).div_(variance.mul_(brightness))


class StructuralSimilarity(SectionMetric):
    """SSIM of every section in three planes and, for valid windows, of the volume.

    Args:
        scopes: Regions to score.
        variant: `gaussian11`: Gaussian window, sigma 1.5, 11 taps, biased moments, windows inside only (primary);
            `uniform7`: constant window, unbiased moments, windows inside only; `torchmetrics`: Gaussian window,
            mirrored borders, every position counts, sections only.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, equation 13; variants of metrics.md, section 2.
    """

    def __init__(self, scopes: Sequence[Region], variant: str = "gaussian11", **options: Any) -> None:
        super().__init__(scopes, **options)
        if variant not in WINDOWS:
            raise unknown("SSIM variant", variant, WINDOWS)
        self.mirrors = variant == "torchmetrics"
        self.window = WINDOWS[variant]
        taps = len(window(self.window))
        self.radius = taps // 2
        # Unbiased moments are n/(n-1) times the biased ones; the factor cancels when C2 is divided by it.
        bias = [1 - 1 / taps**dimensions if variant == "uniform7" else 1.0 for dimensions in (2, 3)]
        self.plane_constant, self.volume_constant = (C2 * factor for factor in bias)

    def margins(self, plane: str) -> Triple:
        """Half a window along the axes that the window of this plane extends over."""
        if self.mirrors:
            return (0, 0, 0)
        return triple([0 if NORMALS.get(plane) == axis else self.radius for axis in range(3)])

    def means(self, i: int, plane: str) -> Tensor:
        """Mean per section; with mirrored borders there is no volume value, and no short side."""
        sides = [n for axis, n in enumerate(self.scopes[i].shape) if axis != NORMALS.get(plane)]
        if self.mirrors and (plane == "volume" or min(sides) <= 2 * self.radius):
            return torch.zeros(0, dtype=torch.float64)
        return super().means(i, plane)

    def update(self, tile: TilePair) -> None:
        """Add the similarity at every window centre in the core of a tile."""
        if not self.mirrors:
            self._add(tile, tile.core, tile.region, range(len(self.scopes)))
            return
        for i, scope in enumerate(self.scopes):  # mirrored windows depend on where the scope ends
            core, region = tile.core.intersection(scope), tile.region.intersection(scope)
            if core is not None and region is not None:
                self._add(tile, core, region, [i])

    def _matrix(self, axis: int, core: Region, region: Region, scope: Region) -> tuple[int, Tensor | None]:
        """First window centre along an axis, and the matrix for all of them; None if no window fits."""
        r, low, high = self.radius, core.start[axis], core.stop[axis]
        inputs = (max(low - r, region.start[axis]), min(high + r, region.stop[axis]))
        if self.mirrors:
            edge = (scope.start[axis], scope.stop[axis])
            mirror = None if edge[0] <= low - r and high + r <= edge[1] else (edge[0] - inputs[0], edge[1] - inputs[0])
            fits = edge[1] - edge[0] > 2 * r
        else:
            low, high, mirror = max(low, region.start[axis] + r), min(high, region.stop[axis] - r), None
            fits = low < high
        centres = (low - inputs[0], high - inputs[0])
        return low, band(self.window, centres, (0, inputs[1] - inputs[0]), mirror) if fits else None

    def _add(self, tile: TilePair, core: Region, region: Region, scopes: Sequence[int]) -> None:
        box = core.expanded((self.radius,) * 3, region)
        inner = box.relative_to(tile.region.start).slices
        maps = moment_maps(tile.a[inner], tile.b[inner], self.plane_constant)  # (4, z, y, x) with halo
        (z0, along_z), (y0, along_y), (x0, along_x) = (
            self._matrix(axis, core, region, self.scopes[scopes[0]]) for axis in range(3)
        )
        z, y, x = core.relative_to(box.start).slices
        if along_x is not None:
            rows = apply_band(maps, along_x, -1)
            if along_z is not None:
                means = apply_band(rows[:, :, y], along_z, -3)
                self.tally("xz", similarity(means), (z0, core.start[1], x0), scopes)
            if along_y is not None:
                means = apply_band(rows, along_y, -2)
                if along_z is not None and not self.mirrors:
                    cubes = apply_band(means, along_z, -3)
                    cubes[2:] += self.volume_constant - self.plane_constant
                    self.tally("volume", similarity(cubes), (z0, y0, x0), scopes)
                self.tally("xy", similarity(means[:, z]), (core.start[0], y0, x0), scopes)
        if along_y is not None and along_z is not None:
            means = apply_band(apply_band(maps[..., x], along_y, -2), along_z, -3)
            self.tally("yz", similarity(means), (z0, y0, core.start[2]), scopes)
