"""Read a volume once from its first section to its last, without what readers keep in memory for reading again."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume import Region, Volume
from vemrecon.volume.region import Triple

PART_BYTES = 4 << 20


def read_slab(volume: Volume, slab: Region) -> NDArray[Any]:
    """Voxels of whole sections in the dtype of the file, in an array of their own.

    This takes the memory of the slab and of a few sections: parts are copied one after the other, and neither decoded
    pages nor mapped parts of the file stay behind. Readers do not stand several threads at once; callers hold a lock.

    Raises:
        DataError: If the file is damaged there.
    """
    array = volume.array
    while hasattr(array, "array"):  # wrappers of the volume room
        array = array.array
    voxels = np.empty(slab.shape, volume.dtype)
    for part in slab.blocks(_part(slab, volume, getattr(array, "chunks", None))):
        voxels[part.relative_to(slab.start).slices] = volume.read_raw(part)
        _forget(volume.array, array)
    return voxels


def _part(slab: Region, volume: Volume, chunks: Any) -> Triple:
    """Voxels to ask for at once: a section, or some rows of chunks, which would be decoded again for every section.

    Not the whole slab: HDF5 takes more memory for a selection of thousands of chunks than for their voxels.
    """
    depth, height, width = slab.shape
    if not chunks or not all(isinstance(edge, int) for edge in chunks):  # those of dask need not be equal
        return 1, height, width
    row = depth * width * volume.dtype.itemsize * chunks[-2]
    return depth, min(height, chunks[-2] * max(1, PART_BYTES // row)), width


def _forget(reader: Any, array: Any) -> None:
    """Give back the memory of sections that are not asked for again: the page cache of TIFF stacks, mapped files."""
    cache = getattr(reader, "cache", None)
    if cache is not None:
        cache.clear()
    if isinstance(array, np.memmap) and array.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        owner: Any = array
        while owner is not None and not isinstance(owner, mmap.mmap):
            owner = getattr(owner, "base", None)
        if owner is not None:
            owner.madvise(mmap.MADV_DONTNEED)
