"""Volumes as arrays of numpy: `.npy` and `.npz`, which say nothing beside the voxels."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np

from vemrecon.errors import DataError, unknown
from vemrecon.volume.inflate import NOTE, inflated
from vemrecon.volume.layout import dtype_notes, layout_of, viewed
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source


def open_npy(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a `.npy` array as a memory map; the file does not say a voxel size."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of sizes that no number can hold
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, OverflowError, MemoryError) as error:
        raise DataError(f"{path}: not a .npy array, or truncated") from error
    layout = layout_of(path.name, array.shape, None, reading)
    return Source(viewed(array, layout), "npy", layout.axes, array.shape, array.dtype, notes=dtype_notes(array.dtype))


def open_npz(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Read the array of a name, or the only one, of a `.npz` file into memory.

    Raises:
        DataError: If the file is damaged, holds no such array, or several and none is named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            if dataset is None and len(names) != 1:
                raise DataError(f"{path}: {len(names)} arrays; say which one with --dataset ({', '.join(names)})")
            if dataset is not None and dataset not in names:
                raise DataError(f"{path}: {unknown('array', dataset, names)}")
            name = dataset or next(iter(names))
            with archive.open(names[name]) as stream:
                read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, turned, dtype = read[np.lib.format.read_magic(stream)](stream)
                if dtype.hasobject:
                    raise DataError(f"{path}: '{name}' holds Python objects, not voxels")
                stored = inflated(path, stream, shape[::-1] if turned else shape, dtype)
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, NotImplementedError) as error:
        raise DataError(f"{path}: not a .npz file, or damaged ({error})") from error
    array = stored.T if turned else stored
    layout = layout_of(path.name, array.shape, None, reading)
    notes = (NOTE, *dtype_notes(array.dtype))
    return Source(viewed(array, layout), "npz", layout.axes, array.shape, array.dtype, dataset=name, notes=notes)
