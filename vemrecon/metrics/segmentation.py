"""Scores of segmentations: masks (IoU, Dice), partitions into instances (adapted Rand error, VOI), and breaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vemrecon.errors import DataError

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]

SMALLEST_PART = 100
"""Voxels of a component that counts as a part of an object (metrics.md, break counts)."""
LEVELS = 1001
"""Of probabilities."""
CORNERS = np.ones((3, 3, 3), dtype=bool)
"""26-connectivity."""


@dataclass(frozen=True)
class Overlap:
    """How two masks agree; two empty ones agree fully."""

    iou: float
    dice: float
    voxels: int
    """In both masks."""


@dataclass(frozen=True)
class Partition:
    """How a partition into instances agrees with the true one."""

    are: float
    """Adapted Rand error: 0 for equal partitions, 1 at worst."""
    voi_split: float
    """H(found | true) in bits: what is split that belongs together."""
    voi_merge: float
    """H(true | found) in bits: what is merged that does not."""

    @property
    def voi(self) -> float:
        """Variation of information, bits."""
        return self.voi_split + self.voi_merge


def overlap(true: Mask, found: Mask) -> Overlap:
    """IoU and Dice of two masks of the same shape.

    Raises:
        DataError: If the shapes differ.

    Source: metrics.md, section 5.

    >>> overlap(np.array([True, True, False]), np.array([True, False, False]))
    Overlap(iou=0.5, dice=0.6666666666666666, voxels=1)
    """
    _check(true, found)
    both = int(np.count_nonzero(true & found))
    size = int(np.count_nonzero(true)) + int(np.count_nonzero(found))
    return Overlap(both / (size - both), 2 * both / size, both) if size else Overlap(1.0, 1.0, 0)


def average_precision(true: Mask, probability: NDArray[np.floating]) -> float:
    """Mean of the precision over the voxels of a mask, each with the threshold that just finds it: 1 at best.

    Smooth reconstructions get lower probabilities for the same membranes; unlike IoU at one threshold, this does not
    mind. Probabilities are rounded to `LEVELS`, so that memory does not grow; voxels of one level count together.

    Args:
        true: The mask.
        probability: In [0, 1], the same shape.

    Raises:
        DataError: If the shapes differ, or the mask is empty.

    >>> average_precision(np.array([True, False, True, False]), np.array([0.9, 0.6, 0.4, 0.1]))
    0.8333333333333333
    """
    _check(true, probability)
    if not true.any():
        raise DataError("no voxel of the truth is labelled")
    level = np.rint(probability.astype(np.float32) * (LEVELS - 1)).astype(np.intp)
    counts = [np.bincount(level[mask], minlength=LEVELS)[::-1].cumsum() for mask in (true, ~true)]
    hit, false = counts
    new = np.diff(hit, prepend=0)
    some = new > 0
    return float(np.sum(new[some] * hit[some] / (hit[some] + false[some])) / hit[-1])


def partition(true: Labels, found: Labels, *, unlabelled: bool = True) -> Partition:
    """Adapted Rand error and variation of information of two partitions of the same shape.

    Args:
        true: Instances; 0 where the truth is not known.
        found: Instances; 0 is a segment like any other.
        unlabelled: Whether 0 of `true` is left out; otherwise it is a segment as well.

    Raises:
        DataError: If the shapes differ, or nothing is labelled.

    Source: metrics.md, section 5; scikit-image, `adapted_rand_error` and `variation_of_information`.
    """
    from skimage.metrics import adapted_rand_error, variation_of_information

    _check(true, found)
    known = true != 0 if unlabelled else np.ones(true.shape, dtype=bool)
    if not known.any():
        raise DataError("no voxel of the truth is labelled")
    a, b = true[known], found[known]
    error, _, _ = adapted_rand_error(a, b, ignore_labels=())
    split, merge = variation_of_information(a, b)
    return Partition(float(error), float(split), float(merge))


def parts(mask: Mask, smallest: int = SMALLEST_PART) -> int:
    """Number of 26-connected components with at least `smallest` voxels, of a mask (z, y, x)."""
    components, count = ndimage.label(mask, structure=CORNERS)
    return int(np.count_nonzero(np.bincount(components.ravel(), minlength=count + 1)[1:] >= smallest))


def breaks(true: Mask, found: Mask, smallest: int = SMALLEST_PART) -> int:
    """Parts of an object that are too many in `found`; negative where true parts have grown together or are lost.

    Source: metrics.md, break counts, after IsoVEM's number of discontinuous breaks.
    """
    _check(true, found)
    return parts(found, smallest) - parts(true, smallest)


def breaks_per_object(objects: Labels, true: Mask, found: Mask, smallest: int = SMALLEST_PART) -> tuple[float, int]:
    """Mean number of breaks per object, each cut out of two masks by its true extent.

    A neuron breaks where a membrane is found across it; membranes that are missed do not show here but in `voi_merge`.

    Args:
        objects: Instances (z, y, x); 0 is none.
        true: Inside of objects by the reference.
        found: Inside of objects by the result.
        smallest: Voxels of a part that counts, and of an object that does.

    Returns:
        Mean of the absolute number of breaks, and the number of objects.
    """
    _check(objects, true)
    _check(objects, found)
    numbers = np.unique(objects, return_inverse=True)[1].reshape(objects.shape) + (1 if objects.all() else 0)
    counts = []
    for label, box in enumerate(ndimage.find_objects(numbers), start=1):
        mine = numbers[box] == label
        if np.count_nonzero(mine) >= smallest:
            counts.append(abs(breaks(mine & true[box], mine & found[box], smallest)))
    return (float(np.mean(counts)) if counts else 0.0), len(counts)


def _check(true: NDArray[np.generic], found: NDArray[np.generic]) -> None:
    if true.shape != found.shape:
        raise DataError(f"segmentations of shapes {true.shape} and {found.shape} cannot be compared")
