"""What a segmenter learns to find, made of labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vemrecon.segment.recipe import FLAT
from vemrecon.volume import VoxelSize


def membranes(neurons: NDArray[np.int64], voxel_size: VoxelSize) -> NDArray[np.bool_]:
    """Voxels that touch another neuron, or belong to none: two voxels wide between neurons that touch.

    Args:
        neurons: Neuron ids (z, y, x); 0 is no neuron.
        voxel_size: Where sections are much thicker than voxels are wide, only neighbours in the section count: a
            membrane that runs obliquely through a thick section is seen in another place in the next.
    """
    found: NDArray[np.bool_] = neurons == 0
    for axis in range(3):
        if axis == 0 and voxel_size.z / voxel_size.y >= FLAT:
            continue
        ids, edge = np.moveaxis(neurons, axis, 0), np.moveaxis(found, axis, 0)
        step = ids[1:] != ids[:-1]
        edge[1:] |= step
        edge[:-1] |= step
    return found


def target(labels: NDArray[np.int64], kind: str, voxel_size: VoxelSize) -> NDArray[np.bool_]:
    """The mask that a segmenter learns: membranes between neurons, or all that is labelled."""
    return membranes(labels, voxel_size) if kind == "neurons" else labels != 0
