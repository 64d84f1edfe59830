"""Training patches with isotropic truth, for methods of the regime `isotropic`: blocks that are degraded along z, and
four degraded sections with a true one between them. Patch i is a function of (seed, stage, i) alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vemrecon.data.patches import Patches, degrade_axis, fitting
from vemrecon.data.source import Source
from vemrecon.errors import DataError
from vemrecon.seeding import derive_seed

Float32 = NDArray[np.float32]
WINDOW = 4
"""Observed sections of a `SectionWindows` patch; the target lies between the second and the third."""


@dataclass(frozen=True)
class IsotropicBlocks(Patches):
    """Pairs of blocks: `observed` (1, sections, y, x) and `target` (1, sections * scale, y, x).

    A block starts at any section of the truth, is turned and mirrored in its plane, and then degraded along its first
    axis.
    """

    sections: int = 8
    """Observed sections; fewer where the volume is thinner."""
    width: int = 128
    """Extent within the section; less where a volume is smaller."""
    axes: tuple[int, ...] = (0,)
    """Axes that sections may follow each other along, one drawn for each patch: 0 is z."""

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A random pair.

        Raises:
            LeakError: If the regime does not allow to see the truth.
        """
        volumes = source.truth_in_memory(validation=validation)
        width, axis = fitting_width(self.width, self.axes, volumes), self.axes[int(rng.integers(len(self.axes)))]
        available = min(v.shape[a] for v in volumes for a in self.axes)
        rows = fitting(round(self.sections * source.scale), available, source.scale)
        along = [v.swapaxes(0, axis) for v in volumes]
        target = turned(random_block(along, (rows, width, width), rng), rng)
        degradation = source.degradation.drawn(rng)
        observed = degrade_axis(target, degradation, derive_seed(int(rng.integers(2**31))))
        return {"observed": torch.from_numpy(observed)[None], "target": torch.from_numpy(target)[None]}


@dataclass(frozen=True)
class SectionWindows(Patches):
    """`observed` (1, 4, y, x), `target` (1, y, x) and its `depth` (), 0 at the second observed section, 1 at the third.

    Kept sections are no targets: they are known. Means over slabs are no true sections, so that every
    section from the middle of the second slab on is one. Windows are turned, mirrored and reversed.

    Source: both D2R papers (window and depth); uniform drawing and augmentation are our choice.
    """

    width: int = 128
    """Extent within the section; less where a volume is smaller."""
    axes: tuple[int, ...] = (0,)
    """Axes that sections may follow each other along, one drawn for each patch: 0 is z."""

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A random window.

        Raises:
            LeakError: If the regime does not allow to see the truth.
            DataError: If a volume is too thin.
        """
        volumes = source.truth_in_memory(validation=validation)
        width, axis = fitting_width(self.width, self.axes, volumes), self.axes[int(rng.integers(len(self.axes)))]
        degradation = source.degradation.drawn(rng)
        grid = degradation.grid
        first = int(rng.integers(Fraction(source.scale).limit_denominator(1000).denominator))  # cuts of slabs differ
        last = first + WINDOW
        positions = grid.positions(last)[first:]
        origin, end = grid.touched(first, last)
        size = (end - origin, width, width)
        block = turned(random_block([v.swapaxes(0, axis) for v in volumes], size, rng), rng)
        if len(block) < size[0]:
            raise DataError(
                f"{len(block)} sections are too thin to learn from at scale {source.scale:g}: windows need {size[0]}"
            )
        start, stop = degradation.support(first, last, end)
        start = max(start, origin)
        noise = derive_seed(int(rng.integers(2**31)))
        observed = degradation.apply(block[start - origin : stop - origin], start, first, last, end, noise)
        between = np.arange(origin, end)
        after = between > positions[1] if grid.thin else between >= positions[1]
        wanted = int(rng.choice(between[after & (between < positions[2])]))
        depth = (wanted - positions[1]) / source.scale
        if rng.integers(2):
            observed, depth = observed[::-1], 1 - depth
        return {
            "observed": torch.from_numpy(np.ascontiguousarray(observed))[None],
            "target": torch.from_numpy(block[wanted - origin].copy())[None],
            "depth": torch.tensor(depth, dtype=torch.float32),
        }


def fitting_width(wanted: int, axes: Sequence[int], volumes: Sequence[Float32]) -> int:
    """The largest extent within sections along any of the axes that all volumes have, so that patches make batches."""
    return min(wanted, *(n for v in volumes for a in axes for n in np.delete(v.shape, a).tolist()))


def random_block(volumes: Sequence[Float32], size: tuple[int, int, int], rng: np.random.Generator) -> Float32:
    """A block from one of some volumes, drawn in proportion to their voxels.

    Lateral extents are cut to those of the smallest volume, to one number for both, so that blocks of a batch are alike
    and can be turned.
    """
    voxels = np.array([volume.size for volume in volumes], dtype=np.float64)
    volume = volumes[int(rng.choice(len(volumes), p=voxels / voxels.sum()))]
    width = min(*size[1:], *(n for v in volumes for n in v.shape[1:]))
    extent = (min(size[0], volume.shape[0]), width, width)
    start = [int(rng.integers(n - wanted + 1)) for wanted, n in zip(extent, volume.shape, strict=True)]
    return volume[tuple(slice(a, a + n) for a, n in zip(start, extent, strict=True))]


def turned(block: Float32, rng: np.random.Generator) -> Float32:
    """One of the eight quarter turns and mirrorings of the plane, drawn at random; a copy."""
    turn = int(rng.integers(8))
    block = np.rot90(block, turn % 4, axes=(1, 2))
    return np.ascontiguousarray(block[:, :, ::-1] if turn >= 4 else block)


def with_known_validation(source: Source) -> Source:
    """The source, without validation volumes whose truth nobody has given: nothing could be compared there."""
    return source if len(source.validation_truth) == len(source.validation) else replace(source, validation=())
