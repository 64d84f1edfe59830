"""Open volumes of every usual format lazily."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vemrecon.errors import DataError
from vemrecon.volume.catalogue import format_of
from vemrecon.volume.edges import OPTION, UNKNOWN, Edges
from vemrecon.volume.geometry import require_possible
from vemrecon.volume.intensity import RangeRule
from vemrecon.volume.ome_zarr import old_grid, open_zarr
from vemrecon.volume.reading import AS_IT_IS, Reading
from vemrecon.volume.region import triple
from vemrecon.volume.source import Source, all_heard, require_stored
from vemrecon.volume.square import with_square_pixels
from vemrecon.volume.volume import Volume
from vemrecon.volume.voxels import VoxelSize


def open_source(path: Path | str, dataset: str | None = None, reading: Reading | None = None) -> Source:
    """Voxels of a file, lazily, and all that it says about them, with where it says so.

    Args:
        path: See `open_volume`.
        dataset: See `open_volume`.
        reading: What the user says about the file.

    Raises:
        DataError: If the file is missing, damaged, or no volume.
        ConfigError: If a package is missing that its format needs.
    """
    path, reading = Path(path), reading or AS_IT_IS
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    known = format_of(path)
    known.require()
    return all_heard(path.name, known.reader(path, dataset, reading), reading)


def open_volume(
    path: Path | str,
    dataset: str | None = None,
    *,
    voxel_size: VoxelSize | Edges | None = None,
    intensity_range: tuple[float, float] | RangeRule | None = None,
    scale: float | None = None,
    reading: Reading | None = None,
) -> Volume:
    """Open a volume without reading its voxels.

    Args:
        path: Of any format of `vemrecon.volume.catalogue`; other folders hold sections, in the order of the number that
            varies in their names.
        dataset: Name inside a file or folder; by default `raw`, `volumes/raw`, the finest level, or the only 3D one.
        voxel_size: In nm (z, y, x), or some of its edges; overrides what the file says.
        intensity_range: Grey values that mean 0 and 1, or how they are found in the content, which is then read; values
            outside are clipped. By default the range that the file states, or that of the dtype.
        scale: Isotropic voxels per section, by default the anisotropy; only of use for zarr folders of an earlier
            version, which say that sections were kept but not how many.
        reading: What else the user says about the file.

    Raises:
        DataError: If the file is missing, damaged, not 3D, empty, of a dtype that holds no grey levels, parts of it
            were never stored, or its voxels are of a size that cannot be.
    """
    path, reading = Path(path), reading or AS_IT_IS
    source = open_source(path, dataset, reading)
    part, said = require_stored(path.name, source.stored, reading.missing, triple(source.array.shape))
    edges, more = edges_of(path.name, source, voxel_size)
    size, grid = edges.size, source.grid
    if grid is None and format_of(path).reader is open_zarr:
        grid = old_grid(path, scale or (size.anisotropy if size and size.square else None))
    volume = Volume(
        source.array,
        size,
        path.name,
        grid,
        source.intensity_range,
        source.origin_with(size),
        notes=(*source.notes, *said, *more),
        partial=edges if size is None else UNKNOWN,
    )
    volume = volume if part is None else volume.crop(part)
    if reading.square_pixels:
        volume = with_square_pixels(volume)
    if intensity_range is None:
        return replace(volume, stated=source.intensity_range is not None)
    span = intensity_range.find(volume) if isinstance(intensity_range, RangeRule) else intensity_range
    return replace(volume, intensity_range=span, stated=True)


def edges_of(name: str, source: Source, given: VoxelSize | Edges | None) -> tuple[Edges, tuple[str, ...]]:
    """Edges of the voxels of a file, those that the user gives first, and notes about them.

    Raises:
        DataError: If no voxel can be of that size.
    """
    mine = Edges.of(given, OPTION) if isinstance(given, VoxelSize) else given or UNKNOWN
    edges = mine.over(replace(source.edges, notes=()))
    require_possible(name, edges)
    notes = source.edges.notes if given is None else ()
    if mine.differ_from(source.edges):
        notes = (f"voxel size {edges} as given; {source.edges.said} says {source.edges}",)
    return edges, (*notes, *(source.edges.unused if edges.size is None else ()))
