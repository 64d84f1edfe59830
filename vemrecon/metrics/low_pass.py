"""`LowPass`: a Gaussian that takes fine detail from both volumes before they are compared, and metrics behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vemrecon.metrics.psnr import PeakSignalNoiseRatio
from vemrecon.metrics.rows import LeftOut, section_rows
from vemrecon.metrics.score import Score
from vemrecon.metrics.sections import SectionMetric
from vemrecon.metrics.ssim import StructuralSimilarity
from vemrecon.metrics.tiles import TilePair
from vemrecon.metrics.windows import smooth, window
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, triple

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

WITHIN_SECTIONS = (1, 2)
"""Axes of a low-pass where sections do not register well enough with each other to be mixed."""


@dataclass(frozen=True)
class LowPass:
    """A separable Gaussian low-pass of 8-bit grey levels.

    Both volumes are rounded to 8 bits first, as for every score; what is smoothed is not rounded again. A smoothed
    voxel counts where its window lies inside the scored region: nothing outside of the region matters, and nothing is
    made up at its borders. A region thereby loses `radius` voxels at both ends of every axis that is smoothed.

    Source: metrics.md, section 1 (windows inside only); the kernel is that of `scipy.ndimage.gaussian_filter` with
    `truncate=4`.
    """

    name: str
    """Of the window: `sigma1` or `sigma2`, the standard deviation in voxels of the scored volumes."""
    axes: tuple[int, ...] = (0, 1, 2)
    """That are smoothed; `WITHIN_SECTIONS` in lateral tasks."""

    @property
    def radius(self) -> int:
        """Half the window, in voxels."""
        return len(window(self.name)) // 2

    def inner(self, region: Region) -> Region | None:
        """The part of a region whose windows lie inside of it; None if no window fits."""
        cut = [self.radius if axis in self.axes else 0 for axis in range(3)]
        start = [a + m for a, m in zip(region.start, cut, strict=True)]
        stop = [b - m for b, m in zip(region.stop, cut, strict=True)]
        return Region(triple(start), triple(stop)) if all(a < b for a, b in zip(start, stop, strict=True)) else None

    def smoothed(self, tile: TilePair, margin: int) -> TilePair | None:
        """A tile after the low-pass, with what is left of its halo, at most `margin` voxels; None where nothing is."""
        box = tile.core.expanded((margin + self.radius,) * 3, tile.region)
        region = self.inner(box)
        core = region and region.intersection(tile.core)
        if region is None or core is None:
            return None
        region = core.expanded((margin,) * 3, region)  # along axes that are not smoothed, nothing was taken away
        kept = self._around(region, box)
        inside = kept.relative_to(tile.region.start).slices
        a, b = (self._smooth(levels[inside]) for levels in (tile.a, tile.b))
        return TilePair(a, b, region, core)

    def _around(self, region: Region, box: Region) -> Region:
        """What the windows of a region reach."""
        return region.expanded(triple([self.radius if axis in self.axes else 0 for axis in range(3)]), box)

    def _smooth(self, levels: Tensor) -> Tensor:
        return smooth(levels.to(torch.float64), self.name, tuple(axis - 3 for axis in reversed(self.axes)))


class LowPassed(SectionMetric):
    """Base of metrics of smoothed volumes: their regions are what `LowPass.inner` leaves of the scored ones.

    Args:
        scopes: Regions to score.
        low_pass: What both volumes go through.
    """

    margin: int
    """Voxels around a core that the metric itself looks at."""

    def __init__(self, scopes: Sequence[Region], low_pass: LowPass, **options: Any) -> None:
        super().__init__(list(dict.fromkeys(part for s in scopes if (part := low_pass.inner(s)))), **options)
        self.low_pass = low_pass

    @property
    def halo(self) -> int:
        """Voxels around a core that a tile must have."""
        return self.low_pass.radius + self.margin

    def smoothed(self, tile: TilePair) -> TilePair | None:
        """What becomes of a tile; None where no window fits."""
        return self.low_pass.smoothed(tile, self.margin) if self.scopes else None


class LowPassPSNR(LowPassed, PeakSignalNoiseRatio):
    """PSNR of two volumes after the same low-pass, in dB; regions are those of `LowPass.inner`."""

    margin = 0

    def update(self, tile: TilePair) -> None:
        """Add the core of a tile, once it is smoothed."""
        if smoothed := self.smoothed(tile):
            super().update(smoothed)


class LowPassSSIM(LowPassed, StructuralSimilarity):
    """SSIM (Gaussian window of 11) of two volumes after the same low-pass; regions are those of `LowPass.inner`."""

    margin = 5  # half a window

    def update(self, tile: TilePair) -> None:
        """Add the core of a tile, once it is smoothed."""
        if smoothed := self.smoothed(tile):
            super().update(smoothed)


def low_pass_scores(evidence: Evidence, metric: str, variant: str, unit: str, shown: LowPassed) -> Iterator[Score]:
    """Scores of every scope. Sections into which a damaged one was mixed are left out of xy means, as that one is."""
    low_pass = shown.low_pass
    reach = range(-low_pass.radius, low_pass.radius + 1) if 0 in low_pass.axes else range(1)
    left_out = LeftOut(
        evidence.axis, frozenset(evidence.kept_sections), frozenset(z + k for z in evidence.defects for k in reach)
    )
    values = dict(zip(shown.scopes, shown.compute(), strict=True)) if shown.scopes else {}
    nothing = {plane: torch.zeros(0, dtype=torch.float64) for plane in (*NORMALS, "volume")}
    note = f"not defined: a side is shorter than {2 * shown.halo + 1}"
    for scope in evidence.scopes:
        inner = low_pass.inner(scope.region)
        found = values[inner] if inner else nothing
        yield from section_rows(
            metric, variant, unit, replace(scope, region=inner or scope.region), found, left_out, note
        )
