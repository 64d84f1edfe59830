"""Open volumes of every usual format lazily, and create OME-Zarr 0.5 or write TIFF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume.hdf5 import open_hdf5
from vemrecon.volume.intensity import RangeRule
from vemrecon.volume.ome_zarr import old_grid, open_zarr
from vemrecon.volume.sections import open_npy, open_sections
from vemrecon.volume.source import AS_IT_IS, Reading, Source, all_heard, require_stored
from vemrecon.volume.tiff import open_tiff
from vemrecon.volume.volume import Volume
from vemrecon.volume.voxels import VoxelSize

HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
SMALLEST_NM = 0.1
TIFF = (".tif", ".tiff", ".btf")
Reader = Callable[[Path, str | None, Reading], Source]
READERS: Mapping[str, Reader] = {
    **dict.fromkeys(HDF5, open_hdf5),
    **dict.fromkeys(TIFF, open_tiff),
    ".npy": open_npy,
    ".zarr": open_zarr,
}


def open_source(path: Path | str, dataset: str | None = None, reading: Reading | None = None) -> Source:
    """Voxels of a file, lazily, and all that it says about them, with where it says so.

    Args:
        path: See `open_volume`.
        dataset: See `open_volume`.
        reading: What the user says about the file.

    Raises:
        DataError: If the file is missing, damaged, or no volume.
    """
    path, reading = Path(path), reading or AS_IT_IS
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    return all_heard(path.name, _reader(path)(path, dataset, reading), reading)


def open_volume(
    path: Path | str,
    dataset: str | None = None,
    *,
    voxel_size: VoxelSize | None = None,
    intensity_range: tuple[float, float] | RangeRule | None = None,
    scale: float | None = None,
    reading: Reading | None = None,
) -> Volume:
    """Open a volume without reading its voxels.

    Args:
        path: OME-Zarr or plain zarr (2 or 3) folder, HDF5, multi-page TIFF, `.npy`, or a folder of PNG or TIFF sections
            in the order of the number that varies in their names.
        dataset: Name inside an HDF5 file or zarr group; by default `raw`, `volumes/raw`, or the only 3D one.
        voxel_size: In nm (z, y, x); overrides what the file says.
        intensity_range: Grey values that mean 0 and 1, or how they are found in the content, which is then read; values
            outside are clipped. By default the range that the file states, or that of the dtype.
        scale: Isotropic voxels per section, by default the anisotropy; only of use for zarr folders of an earlier
            version, which say that sections were kept but not how many.
        reading: What else the user says about the file.

    Raises:
        DataError: If the file is missing, damaged, not 3D, empty, of a dtype that holds no grey levels, or parts of it
            were never stored.
    """
    path, reading = Path(path), reading or AS_IT_IS
    source = open_source(path, dataset, reading)
    notes = (*source.notes, *require_stored(path.name, source.stored, reading.missing))
    if voxel_size and source.voxel_size and not source.voxel_size.close_to(voxel_size):
        notes = (*notes, f"voxel size {voxel_size} as given; {source.voxel_size_from} says {source.voxel_size}")
    size, grid = voxel_size or source.voxel_size, source.grid
    _require_possible(path.name, size, "--voxel-size" if voxel_size else source.voxel_size_from)
    if grid is None and _reader(path) is open_zarr:
        grid = old_grid(path, scale or (size.anisotropy if size else None))
    volume = Volume(source.array, size, path.name, grid, source.intensity_range, source.origin, notes=notes)
    if intensity_range is None:
        return replace(volume, stated=source.intensity_range is not None)
    span = intensity_range.find(volume) if isinstance(intensity_range, RangeRule) else intensity_range
    return replace(volume, intensity_range=span, stated=True)


def _require_possible(name: str, size: VoxelSize | None, said: str) -> None:
    """Refuse voxels smaller than atoms: micrometres taken for nm."""
    if size is not None and min(size) < SMALLEST_NM:
        likely = " ".join(f"{1000 * edge:g}" for edge in size)
        raise DataError(
            f"{name}: voxels of {size} ({said}) are smaller than atoms; sizes are in nm: if these are micrometres, say "
            f"--voxel-size {likely}"
        )


def _reader(path: Path) -> Reader:
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
