"""Open an anisotropic volume, and find where its sections lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vemrecon.degradations import check_scale
from vemrecon.errors import ConfigError, DataError
from vemrecon.volume import (
    Edges,
    RangeRule,
    Reading,
    SectionGrid,
    Volume,
    VoxelSize,
    check_range,
    open_volume,
    require_content,
)
from vemrecon.volume.geometry import require_square


def open_anisotropic(
    path: Path,
    dataset: str | None = None,
    *,
    grid: str | None = None,
    scale: float | None = None,
    voxel_size: VoxelSize | Edges | None = None,
    intensity_range: tuple[float, float] | RangeRule | None = None,
    reading: Reading | None = None,
) -> Volume:
    """Open and check the volume to reconstruct; it knows where its sections lie.

    Args:
        path: See `open_volume`.
        dataset: See `open_volume`.
        grid: `centred` or `aligned`, if the file does not say or is wrong.
        scale: Sections to make of one, by default as the file says, or the anisotropy.
        voxel_size: See `open_volume`.
        intensity_range: See `open_volume`.
        reading: See `open_volume`.

    Raises:
        ConfigError: If the scale is not known, or not that of the file.
        DataError: If it cannot be used.
    """
    volume = open_volume(
        path, dataset, voxel_size=voxel_size, intensity_range=intensity_range, scale=scale, reading=reading
    )
    return anisotropic(volume, grid, scale)


def anisotropic(volume: Volume, grid: str | None = None, scale: float | None = None) -> Volume:
    """A volume that can be reconstructed; it knows where its sections lie. Arguments as of `open_anisotropic`.

    Raises:
        ConfigError: If the scale is not known, or not that of the file.
        DataError: If it cannot be used.
    """
    require_square(volume)
    volume = replace(volume, notes=(*volume.notes, *check_range(volume)))
    require_content(volume)
    if volume.shape[0] < 2:
        raise DataError(f"{volume.name}: a single section cannot be reconstructed")
    return replace(volume, grid=grid_of(volume, grid, scale))


def grid_of(volume: Volume, kind: str | None, scale: float | None) -> SectionGrid:
    """Where the sections of a volume lie: as the user says, or as its file does, or in the middle of slabs.

    Raises:
        ConfigError: If neither the file nor the user says how many sections to make of one, or they say otherwise.
    """
    if kind is not None:
        return SectionGrid.of_kind(kind, scale or (volume.grid.scale if volume.grid else _anisotropy(volume)))
    if volume.grid is None:
        return SectionGrid.slabs(scale or _anisotropy(volume))
    if scale and abs(scale - volume.grid.scale) > 1e-6:
        raise ConfigError(
            f"--scale {scale:g}: {volume.name} has {volume.grid}; leave --scale out, or if the file is wrong, say "
            f"--grid centred or --grid aligned too"
        )
    return volume.grid


def _anisotropy(volume: Volume) -> float:
    """The scale that makes a volume isotropic.

    Raises:
        ConfigError: If its voxel size does not say.
    """
    if volume.voxel_size is None:
        raise ConfigError(f"{volume.name}: {volume.partial.lacking}, or give --scale")
    anisotropy = volume.voxel_size.anisotropy
    if anisotropy < 1.2:
        raise ConfigError(f"{volume.name}: voxels of {volume.voxel_size} are isotropic already; give --scale to insist")
    return check_scale(round(anisotropy) if abs(anisotropy - round(anisotropy)) < 0.05 else anisotropy)


def reopened(
    path: Path,
    dataset: str | None,
    grid: SectionGrid | None,
    *,
    voxel_size: VoxelSize | Edges | None = None,
    intensity_range: tuple[float, float] | None = None,
    reading: Reading | None = None,
) -> Volume:
    """A volume that was opened and checked before, in another process. Arguments as of `open_anisotropic`."""
    volume = open_volume(path, dataset, voxel_size=voxel_size, intensity_range=intensity_range, reading=reading)
    return replace(volume, grid=grid)
