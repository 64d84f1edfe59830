"""Volumes as HDF5 files: one dataset `raw`, with the attributes that CREMI, funlib and Fiji's plugins read."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.volume.made import KEY, Made
from vemrecon.volume.quantise import quantise
from vemrecon.volume.unfinished import unfinished_file
from vemrecon.volume.volume import Span, Volume

CHUNK = 64
SPARE_BYTES = 16 << 20  # HDF5 crashes where the disk fills up while it writes


def write_hdf5(
    path: Path, volume: Volume, dtype: np.dtype[Any], span: Span | None = None, made: Made | None = None
) -> None:
    """Write a volume as dataset `raw`, slab by slab, under a temporary name until it is complete.

    `resolution` and `offset` are in nm, `element_size_um` in µm, all in the order z, y, x.

    Raises:
        OutputError: If the file cannot be written.
    """
    import h5py

    depth = max(1, min(CHUNK, volume.shape[0], (128 << 20) // (volume.shape[1] * volume.shape[2] * 4)))
    chunks = (depth, *(min(CHUNK, n) for n in volume.shape[1:]))
    with unfinished_file(path) as temporary, h5py.File(temporary, "w") as file:
        data = file.create_dataset(
            "raw", volume.shape, dtype, chunks=chunks, compression="gzip", compression_opts=4, shuffle=True
        )
        for dimension, axis in zip(data.dims, "zyx", strict=True):
            dimension.label = axis
        if volume.voxel_size is not None:
            data.attrs["resolution"] = tuple(volume.voxel_size)
            data.attrs["element_size_um"] = tuple(edge / 1e3 for edge in volume.voxel_size)
            if any(volume.origin):
                data.attrs["offset"] = volume.origin
        data.attrs[KEY] = (made or Made()).text(volume, dtype, span)
        for slab in volume.slabs(depth):
            voxels = quantise(volume.read(slab), dtype, span)
            if shutil.disk_usage(path.parent).free < voxels.nbytes + SPARE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data[slab.slices] = voxels
