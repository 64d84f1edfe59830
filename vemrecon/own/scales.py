"""Scales that a method does not take: which others take them, and how the next scale that it takes gets there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vemrecon.methods.interpolation import REACH, Kernel, kernel_matrix
from vemrecon.volume import Region, SectionGrid, Volume
from vemrecon.volume.region import Triple, triple
from vemrecon.volume.volume import moved

KERNEL: Kernel = "bspline3"  # goes through what was made, so that kept sections stay as they are
PIECE = 64  # voxels along z and y that are made at once
PIECE_BYTES = 64 << 20  # that are read for them

Refuses = Callable[[SectionGrid], str | None]
"""Says why sections of a grid cannot be done; None if they can."""


@dataclass(frozen=True)
class Resampling:
    """Sections of one volume on two grids: the one that a method makes, and the one that is wanted.

    Attributes:
        wanted: Where observed sections lie among wanted ones.
        made: Where they lie among those that are made, which are finer: a whole scale.
    """

    wanted: SectionGrid
    made: SectionGrid

    @classmethod
    def next(cls, wanted: SectionGrid, refuses: Refuses) -> Resampling | None:
        """By way of the next whole scale that a method takes, whole or even; None if it takes neither."""
        first = math.floor(wanted.scale) + 1
        found = (cls(wanted, whole_grid(scale, wanted)) for scale in (first, first + 1))
        return next((one for one in found if not refuses(one.made)), None)

    def observed(self, region: Region, count: int) -> Region:
        """The observed sections that a region of them is made from: more along z, for what interpolation sees.

        Args:
            region: Wanted, in observed voxels.
            count: Observed sections in all.
        """
        margin = math.ceil((REACH[KERNEL] + 1) / self.made.scale) + 1
        return region.expanded((margin, 0, 0), Region((0, *region.start[1:]), (count, *region.stop[1:])))

    def shape(self, region: Region) -> Triple:
        """Wanted voxels of a region, in observed voxels."""
        return self.wanted.extent(region.stop[0]) - self.wanted.extent(region.start[0]), *region.shape[1:]

    def resampled(self, made: Volume, first: int, region: Region, observed: Volume) -> Volume:
        """What was made, on the wanted grid; read and resampled when it is asked for.

        Args:
            made: Sections on the grid that was made.
            first: The observed section that it begins with.
            region: Wanted, in observed voxels.
            observed: What it was made from; tells its place and voxel size.
        """
        start = self.wanted.extent(region.start[0])
        counted = self.wanted.sections_at(start + np.arange(self.shape(region)[0]))
        places = self.made.first + self.made.scale * (counted - first)
        size = observed.voxel_size and observed.voxel_size.scaled(0, 1 / self.wanted.scale)
        return Volume(
            _Resampled(made, places),
            size,
            made.name,
            intensity_range=(0.0, 1.0),
            origin=moved(observed.origin, (start - self.wanted.first, *region.start[1:]), size),
            stated=True,  # what overshoots is clipped
        )


class _Resampled:
    """Sections between those of a volume, not clipped; some of them are in memory at once."""

    dtype = np.dtype(np.float32)

    def __init__(self, made: Volume, places: NDArray[np.float64]) -> None:
        self.made, self.places = made, places
        self.shape = (len(places), *made.shape[1:])

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        wanted = Region(triple([one.start for one in index]), triple([one.stop for one in index]))
        result = np.empty(wanted.shape, np.float32)
        for slab in wanted.blocks((PIECE, *wanted.shape[1:])):
            places, last = self.places[slab.slices[0]], self.made.shape[0]
            start = min(max(0, math.floor(places[0]) - REACH[KERNEL]), last - 1)
            stop = max(start + 1, min(last, math.ceil(places[-1]) + REACH[KERNEL] + 1))
            weights = kernel_matrix(KERNEL, places - start, stop - start).astype(np.float32)
            columns = max(PIECE, PIECE_BYTES // (4 * PIECE * (stop - start)))
            for piece in slab.blocks((PIECE, PIECE, columns)):
                seen = Region((start, *piece.start[1:]), (stop, *piece.stop[1:]))
                voxels = np.tensordot(weights, self.made.read(seen), axes=1)
                result[piece.relative_to(wanted.start).slices] = voxels
        return result


def whole_grid(scale: int, wanted: SectionGrid) -> SectionGrid:
    """Where sections of a grid lie at a whole scale: as thick, and whole voxels behind where they usually lie.

    Its first voxel lies at or before that of the wanted grid, as far as sections can begin behind it.

    >>> str(whole_grid(3, SectionGrid.slabs(2.5))), str(whole_grid(3, SectionGrid.kept_every(2.5, offset=1)))
    ('sections every 3 voxels, the first at 1', 'kept sections every 3 voxels, the first at 2')
    """
    ratio = scale / wanted.scale
    thickness = min(float(scale), wanted.thickness * ratio)
    usual = SectionGrid(scale, 0, thickness).canonical.first
    behind = min(math.ceil(wanted.first * ratio - usual - 1e-9), math.ceil(scale - usual) - 1)
    return SectionGrid(scale, usual + max(0, behind), thickness)
