"""Arrays of numpy, zarr, dask and torch as volumes."""

from __future__ import annotations

from typing import Any

import numpy as np

from vemrecon.errors import DataError
from vemrecon.volume.edges import OPTION, Edges
from vemrecon.volume.geometry import require_possible
from vemrecon.volume.intensity import RangeRule
from vemrecon.volume.layout import Layout, viewed
from vemrecon.volume.volume import Span, Volume
from vemrecon.volume.voxels import VoxelSize

SPACE = Layout("zyx", (None, None, None))


def volume_of(
    array: Any,
    *,
    voxel_size: VoxelSize | None = None,
    intensity_range: Span | RangeRule | None = None,
    name: str = "array",
) -> Volume:
    """A volume whose voxels are read from an array when they are asked for.

    Args:
        array: Shape (z, y, x): of numpy, zarr, dask or torch, or anything else with `shape` and `dtype` that gives
            voxels for three slices.
        voxel_size: In nm.
        intensity_range: As in `open_volume`.
        name: For messages.

    Raises:
        DataError: If it is no array of three axes, or its dtype holds no grey levels.
    """
    if hasattr(array, "detach"):  # torch
        array = array.detach().cpu().numpy()
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        array = np.asarray(array)
    if len(array.shape) != 3:
        raise DataError(f"{name}: an array of shape {tuple(array.shape)}; a volume has the three axes (z, y, x)")
    if voxel_size is not None:
        require_possible(name, Edges.of(voxel_size, OPTION))
    volume = Volume(viewed(array, SPACE), voxel_size, name)
    if intensity_range is None:
        return volume
    span = intensity_range.find(volume) if isinstance(intensity_range, RangeRule) else intensity_range
    return volume.stating(span)
