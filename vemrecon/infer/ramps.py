"""Linear fusion of tiles that reach into one another: weights that add up to 1 wherever they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume import Region
from vemrecon.volume.region import Triple


@dataclass(frozen=True)
class Ramps:
    """How much a tile weighs at the voxels it has in common with its neighbours.

    Along an axis a tile that begins at voxel c weighs more and more from c - reach to c + reach, as much as the tile
    before it weighs less: what it weighs is the difference of two such steps, its own and that of the tile behind.

    Attributes:
        made: The reconstruction; its borders have no neighbours.
        reach: How far tiles reach beyond their cores, in voxels.
    """

    made: Triple
    reach: Triple

    def weighted(self, voxels: NDArray[np.float32], core: Region, extended: Region) -> NDArray[np.float32]:
        """Voxels of a tile times what they weigh.

        Args:
            voxels: What was made of a tile, reach included.
            core: What the tile alone is responsible for, in voxels of the reconstruction.
            extended: Where the voxels lie.
        """
        for axis in range(3):
            shape = [1, 1, 1]
            shape[axis] = -1
            voxels = voxels * self.along(axis, core, extended).reshape(shape)
        return voxels

    def along(self, axis: int, core: Region, extended: Region) -> NDArray[np.float32]:
        """What a tile weighs at the voxels of an axis; arguments as of `weighted`."""
        return self.at(axis, np.arange(extended.start[axis], extended.stop[axis], dtype=np.float64) + 0.5, core)

    def at(self, axis: int, z: NDArray[np.float64], core: Region) -> NDArray[np.float32]:
        """What a tile weighs at places along an axis, counted in voxels from the lower face of the first one."""
        first, last = (self._step(axis, z, edge) for edge in (core.start[axis], core.stop[axis]))
        return np.asarray(first - last, dtype=np.float32)

    def _step(self, axis: int, z: NDArray[np.float64], edge: int) -> NDArray[np.float64]:
        if edge == 0 or edge == self.made[axis]:
            return np.full(z.shape, float(edge == 0))
        reach = self.reach[axis]
        if reach == 0:
            return np.asarray(z > edge, dtype=np.float64)
        return np.clip((z - edge + reach) / (2 * reach), 0.0, 1.0)


def extended(core: Region, reach: Sequence[int], made: Triple) -> Region:
    """The voxels that a tile or a block contributes to, in voxels of the reconstruction."""
    return core.expanded(reach, Region.whole(made))
