"""The subject of a figure from files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vemrecon.errors import DataError
from vemrecon.figure.cuts import Observed
from vemrecon.figure.plate import Entry
from vemrecon.figure.subject import Subject
from vemrecon.volume import RangeRule, Reading, Region, SectionGrid, Volume, VoxelSize, open_volume


def from_files(
    volumes: Sequence[Path],
    *,
    truth: Path | None = None,
    observed: Path | None = None,
    grid: str | None = None,
    voxel_size: VoxelSize | None = None,
    intensity_range: tuple[float, float] | RangeRule | None = None,
    reading: Reading | None = None,
) -> Subject:
    """Volumes that were made anywhere.

    Args:
        volumes: Reconstructions.
        truth: Isotropic truth.
        observed: What they were made from.
        grid: `centred` or `aligned`, if the observed file does not say or is wrong.
        voxel_size: Of the truth; see `open_volume`.
        intensity_range: See `open_volume`.
        reading: See `open_volume`.

    Raises:
        DataError: If a file cannot be read, or the volumes do not cover the same voxels.
    """
    opened = [open_volume(path, intensity_range=intensity_range, reading=reading) for path in volumes]
    made = [replace(volume, name=str(path)) for volume, path in zip(opened, volumes, strict=True)]
    known = voxel_size or next((volume.voxel_size for volume in made if volume.voxel_size), None)
    true = seen = None
    if truth is not None:
        true = open_volume(truth, voxel_size=voxel_size, intensity_range=intensity_range, reading=reading)
        known = true.voxel_size or known
    if observed is not None:
        seen = _observed(observed, grid, intensity_range, reading, made[0].shape)
    if true is not None:
        true = _cut_to(replace(true, name=str(truth)), made[0].shape, seen)
    labels = [path.name.partition(".")[0] for path in volumes]
    entries = [Entry(label, replace(volume, voxel_size=known)) for label, volume in zip(labels, made, strict=True)]
    return Subject(true, seen, tuple(entries))


def _observed(
    path: Path,
    kind: str | None,
    span: tuple[float, float] | RangeRule | None,
    reading: Reading | None,
    shape: tuple[int, int, int],
) -> Observed:
    """The observed volume of reconstructions of a shape; the axis that is shorter is the coarse one.

    Raises:
        DataError: If there is no such axis, or more than one, or the file says that more or less sections were made.
    """
    volume = replace(open_volume(path, intensity_range=span, reading=reading), name=str(path))
    shorter = [n for n, (own, other) in enumerate(zip(volume.shape, shape, strict=True)) if own != other]
    if len(shorter) != 1 or volume.shape[shorter[0]] > shape[shorter[0]]:
        raise DataError(
            f"{volume.name}: shape {volume.shape} (z, y, x) does not become {shape} along one axis; "
            f"--observed takes what the --volumes were made from"
        )
    axis = shorter[0]
    scale = shape[axis] / volume.shape[axis]
    grid = open_volume(path, scale=scale, reading=reading).grid if kind is None else SectionGrid.of_kind(kind, scale)
    if grid is None:
        grid = SectionGrid.slabs(scale)
    if grid.extent(volume.shape[axis]) != shape[axis]:
        raise DataError(
            f"{volume.name}: {grid}, but the first of --volumes has {scale:g} for each; if the file is wrong, say "
            f"--grid centred or --grid aligned"
        )
    return Observed(replace(volume, grid=grid), axis)


def _cut_to(truth: Volume, shape: tuple[int, int, int], observed: Observed | None) -> Volume:
    """The truth without the sections at its end that are no whole slab, which no reconstruction has.

    Raises:
        DataError: If it differs in more than that.
    """
    slack = [0, 0, 0]
    if observed is not None:
        slack[observed.axis] = math.ceil(observed.grid.scale) - 1
    if any(not 0 <= a - b <= s for a, b, s in zip(truth.shape, shape, slack, strict=True)):
        raise DataError(
            f"{truth.name}: shape {truth.shape} (z, y, x), but the first of --volumes has {shape}; "
            f"they must cover the same voxels"
        )
    return truth.crop(Region.whole(shape))
