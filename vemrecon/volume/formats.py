"""Open volumes of every usual format lazily, and create OME-Zarr 0.5 or write TIFF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume.hdf5 import open_hdf5
from vemrecon.volume.ome_zarr import old_grid, open_zarr
from vemrecon.volume.sections import open_npy, open_sections
from vemrecon.volume.tiff import open_tiff
from vemrecon.volume.volume import Volume
from vemrecon.volume.voxels import VoxelSize

HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
TIFF = (".tif", ".tiff", ".btf")
READERS: Mapping[str, Callable[[Path, str | None], Volume]] = {
    **dict.fromkeys(HDF5, open_hdf5),
    **dict.fromkeys(TIFF, open_tiff),
    ".npy": open_npy,
    ".zarr": open_zarr,
}


def open_volume(
    path: Path | str,
    dataset: str | None = None,
    *,
    voxel_size: VoxelSize | None = None,
    intensity_range: tuple[float, float] | None = None,
    scale: float | None = None,
) -> Volume:
    """Open a volume without reading its voxels.

    Args:
        path: OME-Zarr or plain zarr (2 or 3) folder, HDF5, multi-page TIFF, `.npy`, or a folder of PNG or TIFF sections
            in the order of the last number in their names.
        dataset: Name inside an HDF5 file or zarr group; by default `raw`, `volumes/raw`, or the only 3D one.
        voxel_size: In nm (z, y, x); overrides what the file says.
        intensity_range: Grey values that mean 0 and 1; by default the range of the dtype.
        scale: Isotropic voxels per section, by default the anisotropy; only of use for zarr folders of an earlier
            version, which say that sections were kept but not how many.

    Raises:
        DataError: If the file is missing, damaged, not 3D, empty, or of a dtype that holds no grey levels.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    reader = _reader(path)
    volume = reader(path, dataset)
    if voxel_size is not None:
        volume = replace(volume, voxel_size=voxel_size)
    if reader is open_zarr and volume.grid is None:
        known = scale or (volume.voxel_size.anisotropy if volume.voxel_size else None)
        volume = replace(volume, grid=old_grid(path, known))
    return replace(volume, intensity_range=intensity_range) if intensity_range else volume


def _reader(path: Path) -> Callable[[Path, str | None], Volume]:
    if path.is_dir():
        if path.suffix == ".zarr" or any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
            return open_zarr
        if path.suffix in READERS:
            raise DataError(f"{path}: is a folder, but its name is that of a {path.suffix} file")
        return open_sections
    reader = READERS.get(path.suffix.lower())
    if reader is None or path.suffix.lower() == ".zarr":
        raise DataError(
            f"{path}: cannot tell the format from the name; known are .zarr folders, folders of sections, "
            f"{', '.join(e for e in READERS if e != '.zarr')}"
        )
    return reader


def output_format(path: Path) -> str:
    """`zarr` or `tiff` by the name of an output that does not exist yet.

    Raises:
        ConfigError: If the name has another ending, or something is already there.
    """
    suffix = path.suffix.lower()
    if suffix not in (".zarr", *TIFF):
        raise ConfigError(f"{path}: outputs are written as .zarr or .tif; choose one of these names")
    if path.exists():
        raise ConfigError(f"{path}: already exists; remove it or choose another name")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist")
    return "zarr" if suffix == ".zarr" else "tiff"
