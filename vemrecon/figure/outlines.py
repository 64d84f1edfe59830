"""`Outline`: a mask of a plane, to be drawn around what a segmenter found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vemrecon.figure.cuts import Extent
from vemrecon.report.overlay import Masks
from vemrecon.volume import VoxelSize
from vemrecon.volume.planes import AXES, PLANE_AXES


@dataclass(frozen=True)
class Outline:
    """A mask, and where it lies."""

    mask: NDArray[np.bool_]
    """Rows and columns of the plane."""
    extent: Extent
    """In nm, as that of a cut."""


def outlines_of(masks: Masks, name: str, voxel_size: VoxelSize) -> dict[str, Outline]:
    """What was found (`found`), what is found in the truth (`truth`) or the labels (`labels`), by plane."""
    found = {}
    for plane, mask in masks.sections[name].items():
        edges = []
        for axis, length in zip(PLANE_AXES[plane], mask.shape, strict=True):
            n = AXES.index(axis)
            edges.append([(masks.origin[n] + voxel) * list(voxel_size)[n] for voxel in (0, length)])
        (top, bottom), (left, right) = edges
        found[plane] = Outline(mask, (left, right, bottom, top))
    return found
