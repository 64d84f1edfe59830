"""How large the tiles of a reconstruction are, where results do not depend on that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume.region import Region, Triple, triple

LATERAL_STEP = 32
"""Cores are multiples of it along y and x: networks, chunks of files and coarser levels suit such widths."""


def chosen_core(shape: Triple, region: Region, least: Triple, halo: Triple, step: int, largest: float) -> Triple:
    """The core with which fewest voxels are seen twice, among those that memory holds.

    Args:
        shape: Of the observed volume, which halos end at.
        region: What is reconstructed of it.
        least: The core that is taken where no larger one fits.
        halo: Of a tile.
        step: Sections of which a core is a multiple, see `axial_step`.
        largest: Voxels of a tile with its halo.

    Returns:
        Observed voxels along z, y and x.
    """
    axes = []
    for axis, multiple in enumerate((step, LATERAL_STEP, LATERAL_STEP)):
        edges = _edges(region.shape[axis], least[axis], multiple) if halo[axis] else [least[axis]]
        axes.append([_seen(edge, axis, shape, region, halo[axis]) for edge in edges])
    longest, total = (_product([[one[n] for one in axis] for axis in axes]) for n in (1, 2))
    fitting = np.where(longest <= largest, total, np.inf)
    if not np.isfinite(fitting).any():
        return least
    equal = np.where(fitting == fitting.min(), longest, np.inf)
    place = np.unravel_index(int(equal.argmin()), equal.shape)
    return triple([axis[n][0] for axis, n in zip(axes, place, strict=True)])


def _edges(length: int, least: int, multiple: int) -> list[int]:
    """Edges that divide a length into equal pieces, but for what is rounded up, none shorter than the least one."""
    pieces = range(1, max(1, length // least) + 1)
    equal = {-(-length // (n * multiple)) * multiple for n in pieces}
    return sorted({edge for edge in equal if edge >= least} | {least})


def _seen(edge: int, axis: int, shape: Triple, region: Region, halo: int) -> tuple[int, int, int]:
    """An edge of cores along an axis; of the longest tile and of all tiles the voxels that are seen there."""
    starts = range(region.start[axis], region.stop[axis], edge)
    stops = (min(start + edge, region.stop[axis]) for start in starts)
    seen = [min(b + halo, shape[axis]) - max(a - halo, 0) for a, b in zip(starts, stops, strict=True)]
    return edge, max(seen), sum(seen)


def _product(lengths: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    z, y, x = (np.asarray(one, np.float64) for one in lengths)
    found: NDArray[np.float64] = z[:, None, None] * y[:, None] * x
    return found
