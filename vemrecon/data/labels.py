"""Label volumes: neuron ids of FIB-25, read lazily."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume import Region
from vemrecon.volume.hdf5 import open_dataset


class NeuronLabels:
    """Neuron ids of a FIB-25 sample: supervoxels (`stack`) looked up in a table of bodies (`transforms`).

    Attributes:
        shape: (z, y, x).
        ids: Every neuron id of the table, rising; 0 means unlabelled.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack = open_dataset(path, "stack")
        pairs = np.asarray(open_dataset(path, "transforms"))
        if self.stack.ndim != 3 or pairs.ndim != 2 or pairs.shape[1] != 2:
            raise DataError(f"{path}: expected a 3D `stack` and two columns of `transforms`, the layout of FIB-25")
        self.shape: tuple[int, ...] = tuple(self.stack.shape)
        self.bodies = np.zeros(int(pairs[:, 0].max()) + 1, dtype=np.int64)
        self.bodies[pairs[:, 0]] = pairs[:, 1]
        self.ids: NDArray[np.int64] = np.unique(self.bodies)

    def read(self, region: Region) -> NDArray[np.int64]:
        """Neuron ids of a region.

        Raises:
            DataError: If the file is damaged there, or holds supervoxels that the table does not know.
        """
        try:
            supervoxels: NDArray[Any] = self.stack[region.slices]
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read at {region}: damaged or truncated") from error
        if supervoxels.max() >= len(self.bodies):
            raise DataError(f"{self.path}: supervoxel {supervoxels.max()} is not in the table of bodies")
        return self.bodies[supervoxels]
