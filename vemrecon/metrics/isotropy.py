"""How much the axial direction differs from the lateral ones: continuity, layering, and power of the spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from vemrecon.metrics.spectrum import frequency_grid, sums_by_label
from vemrecon.metrics.tiles import TilePair
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

BAND = (0.25, 0.75)  # of the Nyquist frequency: above the shape of large objects, below the corner of the detector


class AxialContinuity(Metric):
    """Errors and steps between sections along an axis, exact sums of grey levels.

    Args:
        scopes: Regions to score.
        axis: The degraded axis.

    Source: metrics.md, section 4.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, scopes: Sequence[Region], axis: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.scopes, self.axis = tuple(scopes), axis
        for i, scope in enumerate(self.scopes):
            n = scope.shape[axis]
            for name, shape in (("error", (2, n)), ("steps", (2, n)), ("change", (2, 3))):
                self.add_state(f"{name}_{i}", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, tile: TilePair) -> None:
        """Add the core of a tile; the halo must hold at least one voxel."""
        for i, scope in enumerate(self.scopes):
            if not scope.overlaps(tile.core):
                continue
            start = [max(a, b) for a, b in zip(tile.core.start, scope.start, strict=True)]
            stop = [min(a, b) for a, b in zip(tile.core.stop, scope.stop, strict=True)]
            low = [max(a - 1, b) for a, b in zip(start, scope.start, strict=True)]  # with the voxel before, if any
            box = Region((low[0], low[1], low[2]), (stop[0], stop[1], stop[2]))
            inner = box.relative_to(tile.region.start).slices
            core = tuple(slice(s - a, None) for s, a in zip(start, low, strict=True))
            pair = torch.stack([tile.a[inner], tile.b[inner]]).to(torch.int16)
            here = slice(start[self.axis] - scope.start[self.axis], stop[self.axis] - scope.start[self.axis])
            others = [k for k in range(3) if k != self.axis]
            error = (pair[1] - pair[0])[core]
            sums = getattr(self, f"error_{i}")
            sums[0, here] += error.sum(dim=others)
            sums[1, here] += error.abs_().sum(dim=others)
            for axis in range(3):
                self._add_steps(i, axis, pair, core, here)

    def _add_steps(self, i: int, axis: int, pair: Tensor, core: tuple[slice, ...], here: slice) -> None:
        keep = [slice(None), *core]
        keep[axis + 1] = slice(None)
        steps = pair[tuple(keep)].diff(dim=axis + 1).abs_()
        if axis == self.axis:
            per_section = steps.sum(dim=[k + 1 for k in range(3) if k != axis])  # (2, sections)
            first = here.stop - per_section.shape[1]
            getattr(self, f"steps_{i}")[:, first : here.stop] += per_section
        getattr(self, f"change_{i}")[:, axis] += steps.sum(dim=(1, 2, 3))

    def compute(self) -> list[dict[str, Tensor]]:
        """Per scope, in grey levels.

        `error`, `mae`: signed and absolute error per section; `steps`: mean absolute difference to the section before,
        of truth and reconstruction, shape (2, sections), 0 for the first; `change`: mean absolute first difference
        along z, y and x of both, shape (2, 3).
        """
        found = []
        for i, scope in enumerate(self.scopes):
            area = scope.voxels / scope.shape[self.axis]
            error, mae = getattr(self, f"error_{i}") / area
            pairs = torch.tensor([scope.voxels / n * (n - 1) for n in scope.shape], dtype=torch.float64)
            change = getattr(self, f"change_{i}") / pairs.clamp(min=1)
            found.append({"error": error, "mae": mae, "steps": getattr(self, f"steps_{i}") / area, "change": change})
        return found


def section_period(grid: SectionGrid | None) -> tuple[int, int]:
    """Sections per observed one, and where the first observed one begins; (0, 0) where there is no such period."""
    if grid is None or not grid.scale.is_integer():
        return 0, 0
    return int(grid.scale), round(grid.first - grid.canonical.first)


def layer_contrast(steps: NDArray[np.float64], first: int, scale: int) -> float | None:
    """Contrast of steps at the borders of observed sections against steps inside them, in [-1, 1].

    Args:
        steps: Mean absolute difference to the section before; the first entry is ignored.
        first: Position of the first section on the axis, from where the first observed one begins.
        scale: Sections per observed section; None is returned below 2.

    Returns:
        `(B - I) / (B + I)`, or None if there is no step of one of the kinds, or no step is above zero.
    """
    if scale < 2:
        return None
    at_border = (np.arange(first + 1, first + len(steps)) % scale) == 0
    inner = steps[1:]
    if not at_border.any() or at_border.all():
        return None
    border, inside = float(inner[at_border].mean()), float(inner[~at_border].mean())
    return (border - inside) / (border + inside) if border + inside > 0 else None


def periodic_error_fraction(mae: NDArray[np.float64], scale: int) -> float | None:
    """Share of the variation of the error along the axis that repeats with every observed section, in [0, 1].

    Args:
        mae: Mean absolute error per section.
        scale: Sections per observed section; None is returned below 2.

    Returns:
        Power at the harmonics `h n / s`, h = 1..floor(s/2), over all power; None for fewer than two periods or if the
        error does not vary.
    """
    if scale < 2 or len(mae) < 2 * scale:
        return None
    n = len(mae) // scale * scale
    power = np.abs(np.fft.rfft(mae[:n] - mae[:n].mean())) ** 2
    total = power[1:].sum()
    if total <= 1e-18 * max(float((mae**2).sum()), 1.0):
        return None
    return float(power[[h * n // scale for h in range(1, scale // 2 + 1)]].sum() / total)


@lru_cache(maxsize=2)
def _band_labels(shape: Triple, voxel_size: VoxelSize) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    grid = frequency_grid(shape, voxel_size)
    nyquist = 0.5 / max(voxel_size)
    labels = np.where((grid.radius >= BAND[0] * nyquist) & (grid.radius <= BAND[1] * nyquist), grid.cone, 0)
    return labels, sums_by_label(grid.multiplicity[None], labels, 4)[0]


class PowerAnisotropy(Metric):
    """Axial over lateral power of the spectrum, as a logarithm, for truth and reconstruction, block by block.

    `log10( mean P_axial / (0.5 (mean P_lateral1 + mean P_lateral2)) )`, in a band and in cones.

    Args:
        shape: Shape of a block.
        voxel_size: In nanometres.
        blocks: Number of blocks.
        axis: The degraded axis.

    Source: metrics.md, section 3.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    taper = "hann"
    power: Tensor

    def __init__(self, shape: Triple, voxel_size: VoxelSize, blocks: int = 1, axis: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.shape, self.voxel_size, self.axis = shape, voxel_size, axis
        self.add_state("power", torch.zeros(blocks, 2, 3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, folded: NDArray[np.float64], block: int = 0) -> None:
        """Add the spectra of one block, from `folded_spectra` with a Hann taper."""
        labels, _ = _band_labels(self.shape, self.voxel_size)
        self.power[block] += torch.from_numpy(sums_by_label(folded[1:], labels, 4)[:, 1:])

    def compute(self) -> Tensor:
        """Anisotropy of truth and reconstruction per block, shape (blocks, 2); NaN where there is no power."""
        _, counts = _band_labels(self.shape, self.voxel_size)
        mean = self.power / torch.from_numpy(counts[1:])
        lateral = mean[..., [k for k in range(3) if k != self.axis]].mean(dim=-1)
        return torch.log10(mean[..., self.axis] / lateral)
