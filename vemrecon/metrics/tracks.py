"""Scores of objects that are followed from section to section."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vemrecon.errors import DataError
from vemrecon.metrics.segmentation import CORNERS, Labels, overlap

Bits = NDArray[np.uint8]
"""Objects in a volume (z, y, x): bit n of a voxel says whether object n is there."""

MOST = 8
"""Objects that are followed."""
VISIBLE = 64
"""Voxels of an object in the first section from which it counts as visible: smaller masks show no structure."""
REACH = 0.5
"""Share of the sections that an object must have a voxel in."""


def components(labels: Labels) -> NDArray[np.int32]:
    """26-connected components of what is labelled, from 1."""
    found = np.zeros(labels.shape, dtype=np.int32)
    ndimage.label(labels != 0, structure=CORNERS, output=found)
    return found


def followed(objects: Labels, most: int = MOST) -> list[int]:
    """Ids of the largest objects that are visible in the first section and reach far enough, the largest first.

    Args:
        objects: Instances (z, y, x); 0 is none.
        most: Of them.
    """
    first, sizes = np.unique(objects[0], return_counts=True)
    seen = [int(label) for label, size in zip(first, sizes, strict=True) if label and size >= VISIBLE]
    present: dict[int, int] = dict.fromkeys(seen, 0)
    volume: dict[int, int] = dict.fromkeys(seen, 0)
    for section in objects:
        for label, size in zip(*np.unique(section, return_counts=True), strict=True):
            if int(label) in present:
                present[int(label)] += 1
                volume[int(label)] += int(size)
    far = [label for label in seen if present[label] >= REACH * len(objects)]
    return sorted(far, key=lambda label: (-volume[label], label))[:most]


def as_bits(objects: Labels, ids: list[int]) -> Bits:
    """The objects of these ids, at most 8, as bits in this order."""
    found = np.zeros(objects.shape, dtype=np.uint8)
    for number, label in enumerate(ids):
        found |= (objects == label).astype(np.uint8) << number
    return found


def mean_iou(true: Bits, found: Bits, objects: int) -> float:
    """IoU of each object over all sections but the first, which was given, and the mean over the objects.

    Voxels of all these sections count together, so that sections that an object does not reach need no rule. An object
    that is in neither volume counts as 1.

    Args:
        true: The reference.
        found: What was followed.
        objects: Number of objects.

    Raises:
        DataError: If there is no later section, no object, or the shapes differ.

    >>> a, b = np.array([[[1, 1]], [[3, 1]]], np.uint8), np.array([[[0, 0]], [[3, 0]]], np.uint8)
    >>> mean_iou(a, b, 2)  # half of the first object, all of the second
    0.75
    """
    if len(true) < 2 or objects < 1:
        raise DataError("an object must be followed through two sections or more")
    parts = [overlap(*((bits[1:] >> number) & 1 == 1 for bits in (true, found))) for number in range(objects)]
    return float(np.mean([part.iou for part in parts]))
