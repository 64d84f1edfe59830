"""Cuts: the same place of several volumes, read plane by plane, with its extent in nanometres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import ConfigError, DataError
from vemrecon.report.pictures import Section
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, quantise
from vemrecon.volume.planes import AXES, NORMALS, PLANE_AXES

SIDE = 128
"""Voxels along a side of a cut: membranes of a few voxels can still be seen in print."""

Extent = tuple[float, float, float, float]
"""Left, right, bottom and top edge in nm from the corner of the volume; rows run down, so that bottom is above top."""


@dataclass(frozen=True)
class CutAt:
    """Where all volumes are cut, in voxels of the truth."""

    at: tuple[int, int, int]
    """z, y and x; every plane goes through this voxel."""
    box: Region
    """What of the planes is shown."""
    voxel_size: VoxelSize

    def window(self, plane: str) -> Extent:
        """What a plane shows."""
        (top, bottom), (left, right) = (self._edges(axis) for axis in PLANE_AXES[plane])
        return left, right, bottom, top

    def _edges(self, axis: str) -> tuple[float, float]:
        n, size = AXES.index(axis), list(self.voxel_size)
        return self.box.start[n] * size[n], self.box.stop[n] * size[n]


@dataclass(frozen=True)
class Observed:
    """The observed volume on the axis of the truth."""

    volume: Volume
    axis: int
    """The coarse axis: 0, 1 or 2 for z, y or x."""

    @property
    def grid(self) -> SectionGrid:
        """Where its sections lie."""
        return self.volume.require_grid()

    def recorded(self, at: Sequence[int]) -> bool:
        """Whether the section through a voxel was recorded as it is."""
        kept = self.grid.kept(self.volume.shape[self.axis])
        return kept is not None and at[self.axis] in kept

    def withheld(self, length: int) -> int:
        """The middle of `length` sections, or where sections were kept the one farthest from them near the middle.

        The same section that a run keeps for its report.
        """
        middle = self.volume.shape[self.axis] // 2
        return min(length - 1, self.grid.between(self.grid.extent(middle)))


@dataclass(frozen=True)
class Cut:
    """A picture of a plane, and where it lies."""

    section: Section
    extent: Extent


def cut_at(
    shape: tuple[int, int, int],
    voxel_size: VoxelSize,
    observed: Observed | None,
    at: Sequence[int] | None = None,
    side: int | None = None,
) -> CutAt:
    """A place to cut: by default the middle, through a section that was not copied from the input.

    Args:
        shape: Of the truth, in voxels (z, y, x).
        voxel_size: Of the truth, in nm.
        observed: The observed volume, if there is one.
        at: Voxel (z, y, x) in the middle of the cuts.
        side: Length of the side of the cuts, in voxels along x; other axes show as many nm, or all that they have.

    Raises:
        ConfigError: If the voxel lies outside the volume, or the side is no length.
    """
    if at is None:
        z, y, x = (size // 2 for size in shape)
        at = [z, y, x]
        if observed is not None:
            at[observed.axis] = observed.withheld(shape[observed.axis])
    if any(not 0 <= a < size for a, size in zip(at, shape, strict=True)):
        raise ConfigError(f"--at {' '.join(map(str, at))} lies outside the volume of {shape} voxels (z, y, x)")
    lengths = [max(1, round((side or SIDE) * voxel_size.x / edge)) for edge in voxel_size]
    z, y, x = at
    return CutAt((z, y, x), Region.around(at, lengths, shape), voxel_size)


def cut(volume: Volume, plane: str, where: CutAt) -> Cut:
    """The grey levels of a plane of a volume on the grid of the truth. Nothing else of the volume is read."""
    return Cut(_read(volume, plane, where.at, where.box), where.window(plane))


def cut_uncertainty(volume: Volume, plane: str, where: CutAt) -> NDArray[np.float32]:
    """Uncertainty in a plane of a volume on the grid of the truth, in grey levels that are not rounded."""
    return _voxels(volume, plane, where.at, where.box) * np.float32(255)


def cut_observed(observed: Observed, plane: str, where: CutAt) -> Cut:
    """The observed voxels that the window of a plane sees, with their true size.

    Seen along the coarse axis, the nearest observed section. The extent can reach beyond the window, because a coarse
    voxel at its edge is not cut, or leave a part of it empty, where nothing was observed.
    """
    axis, count, grid = observed.axis, observed.volume.shape[observed.axis], observed.grid
    start, stop, at = list(where.box.start), list(where.box.stop), list(where.at)
    # voxel i of the truth lies between i and i + 1, and a section reaches half-way to the next one
    low, high = (float(grid.sections_at(edge - 0.5)) + 0.5 for edge in (start[axis], stop[axis]))
    at[axis] = min(count - 1, max(0, grid.nearest(at[axis])))
    start[axis] = min(count - 1, max(0, math.floor(low + 1e-9)))
    stop[axis] = min(count, max(start[axis] + 1, math.ceil(high - 1e-9)))
    box = Region((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    section = _read(observed.volume, plane, at, box)
    left, right, bottom, top = where.window(plane)
    if AXES[axis] in PLANE_AXES[plane]:
        step = list(where.voxel_size)[axis]
        low, high = ((grid.halfway(k - 1) + 0.5) * step for k in (start[axis], stop[axis]))
        if PLANE_AXES[plane][0] == AXES[axis]:
            top, bottom = low, high
        else:
            left, right = low, high
    return Cut(section, (left, right, bottom, top))


def _read(volume: Volume, plane: str, at: Sequence[int], box: Region) -> Section:
    """Grey levels of the voxels of a box in the plane through a voxel, rows first."""
    return quantise(_voxels(volume, plane, at, box), np.dtype(np.uint8))


def _voxels(volume: Volume, plane: str, at: Sequence[int], box: Region) -> NDArray[np.float32]:
    """The same in [0, 1]."""
    normal = NORMALS[plane]
    start, stop = list(box.start), list(box.stop)
    start[normal], stop[normal] = at[normal], at[normal] + 1
    region = Region((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return volume.read(region).squeeze(normal)


def require_same_grid(volume: Volume, shape: tuple[int, int, int]) -> None:
    """Refuse a volume that does not cover the same voxels as the others.

    Raises:
        DataError: If its shape differs.
    """
    if volume.shape != shape:
        raise DataError(
            f"{volume.name}: shape {volume.shape} (z, y, x), but {shape} is expected; "
            f"the volumes of a figure must cover the same voxels"
        )
