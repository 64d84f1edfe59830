"""Structural similarity of sections in three planes and of the volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vemrecon.errors import unknown
from vemrecon.metrics.sections import SectionMetric
from vemrecon.metrics.ssim_compiled import CompiledWindows, kernel_fits
from vemrecon.metrics.ssim_terms import C1, C2, moment_maps, similarity
from vemrecon.metrics.tiles import TilePair
from vemrecon.metrics.windows import apply_band, band, window
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, Triple, triple

WINDOWS: dict[str, str] = {"gaussian11": "gaussian11", "uniform7": "uniform7", "torchmetrics": "gaussian11"}
"""Variant to the name of its window."""


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
        (z0, along_z), (y0, along_y), (x0, along_x) = (
            self._matrix(axis, core, region, self.scopes[scopes[0]]) for axis in range(3)
        )
        z, y, x = core.relative_to(box.start).slices
        pair, raised = (tile.a[inner], tile.b[inner]), C1 + self.plane_constant
        windows: CompiledWindows | TorchWindows
        if self.mirrors or not kernel_fits(self.window, *pair):
            windows = TorchWindows(*pair, raised, (along_z, along_y, along_x), x)
        else:
            windows = CompiledWindows(*pair, raised, self.window, x)
        if along_x is not None:
            if along_z is not None:
                self.tally("xz", windows.similarity(windows.rows[:, :, y], -3), (z0, core.start[1], x0), scopes)
            if along_y is not None:
                means = windows.smoothed(windows.rows, -2)
                if along_z is not None and not self.mirrors:
                    cubes = windows.similarity(means, -3, self.volume_constant - self.plane_constant)
                    self.tally("volume", cubes, (z0, y0, x0), scopes)
                self.tally("xy", windows.similarity(means[:, z], None), (core.start[0], y0, x0), scopes)
        if along_y is not None and along_z is not None:
            means = windows.smoothed(windows.maps, -2)
            self.tally("yz", windows.similarity(means, -3), (z0, y0, core.start[2]), scopes)


class TorchWindows:
    """Maps of a pair of tiles, and windows over them, as products with matrices; overwrites what it has smoothed.

    Args:
        a: Grey levels, shape (z, y, x).
        b: The same.
        raised: Added to the last two maps.
        matrices: Of the windows along z, y and x; None where none fits.
        x: Voxels of a row that are kept in what is not smoothed along it.
    """

    def __init__(self, a: Tensor, b: Tensor, raised: float, matrices: Sequence[Tensor | None], x: slice) -> None:
        self.matrices = matrices
        maps = moment_maps(a, b, raised)
        self.maps = maps[..., x]
        self.rows = maps[..., :0] if matrices[-1] is None else apply_band(maps, matrices[-1], -1)

    def smoothed(self, maps: Tensor, axis: int) -> Tensor:
        """Under the window along an axis."""
        matrix = self.matrices[axis]
        assert matrix is not None
        return apply_band(maps, matrix, axis)

    def similarity(self, maps: Tensor, axis: int | None, raised: float = 0.0) -> Tensor:
        """From maps that have yet to be smoothed along an axis, or along none; shape (z, y, x)."""
        means = maps if axis is None else self.smoothed(maps, axis)
        if raised:
            means[2:] += raised
        return similarity(means)
