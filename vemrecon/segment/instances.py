"""From membranes to instances: one fixed watershed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume import VoxelSize

MISSING = "unavailable: the package scikit-image is missing; pip install 'vemrecon[segmentation]'"
MEMBRANE = 0.15
"""Probability from which a voxel counts as membrane here; lower than for masks, since one gap merges two neurons."""
DEEP_NM = 60.0
"""Distance from the next membrane beyond which voxels belong to the core of a neuron."""
SMALLEST_CORE = 50
"""Voxels; smaller cores start no instance."""


def obstacle() -> str:
    """Why no instances can be had here; empty if they can."""
    return "" if find_spec("skimage") else MISSING


def instances(probability: NDArray[np.floating], voxel_size: VoxelSize) -> NDArray[np.int32]:
    """Instances (z, y, x) from 1 that fill the volume: cores far from membranes, grown along rising probability.

    Cores are 6-connected. The settings have the lowest variation of information on those rows of FIB-25 that the
    segmenter learns from.

    Args:
        probability: Of a membrane, shape (z, y, x).
        voxel_size: In nm.
    """
    from scipy import ndimage
    from skimage.segmentation import watershed

    depth = ndimage.distance_transform_edt(probability < MEMBRANE, sampling=tuple(voxel_size))
    cores, count = ndimage.label(depth > DEEP_NM)
    sizes = np.bincount(cores.ravel(), minlength=count + 1)
    cores[(sizes < SMALLEST_CORE)[cores]] = 0
    grown: NDArray[np.int32] = watershed(probability.astype(np.float32), cores).astype(np.int32)
    return grown
