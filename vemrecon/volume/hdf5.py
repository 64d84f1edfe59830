"""Volumes in HDF5 files: CREMI, FIB-25 samples and the like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vemrecon.errors import DataError, unknown
from vemrecon.volume.volume import Volume
from vemrecon.volume.voxels import VoxelSize

USUAL_NAMES = ("raw", "volumes/raw")


def open_hdf5(path: Path, dataset: str | None = None) -> Volume:
    """Open one dataset of an HDF5 file.

    The voxel size is the attribute `resolution` (z, y, x in nm) of the dataset, as CREMI and FIB-25 have it, and the
    origin the attribute `offset`.

    Raises:
        DataError: If the file is no HDF5 file, is truncated, or holds no such dataset.
    """
    array = open_dataset(path, dataset)
    resolution = array.attrs.get("resolution")
    size = None if resolution is None or len(resolution) != 3 else VoxelSize(*map(float, resolution))
    offset = array.attrs.get("offset")
    z, y, x = (0.0, 0.0, 0.0) if offset is None or len(offset) != 3 else map(float, offset)
    return Volume(array, size, path.name, origin=(z, y, x))


def open_dataset(path: Path, dataset: str | None = None) -> Any:
    """The h5py dataset of this name, or by default `raw`, `volumes/raw`, or the only 3D one."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "truncated" if "truncated" in str(error) else "not an HDF5 file, or damaged"
        raise DataError(f"{path}: {reason}") from error
    found: dict[str, Any] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    if dataset is not None:
        if dataset.strip("/") not in found:
            raise DataError(f"{path}: {unknown('dataset', dataset, found)}")
        return found[dataset.strip("/")]
    for name in USUAL_NAMES:
        if name in found:
            return found[name]
    volumes = [name for name, item in found.items() if item.ndim == 3]
    if len(volumes) == 1:
        return found[volumes[0]]
    raise DataError(f"{path}: {len(volumes)} datasets are 3D; say which one ({', '.join(sorted(found)) or 'none'})")
