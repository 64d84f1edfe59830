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
from vemrecon.volume import Edges, RangeRule, Reading, Region, SectionGrid, Volume, VoxelSize, open_volume
from vemrecon.volume.geometry import one_size, require_order


def from_files(
    volumes: Sequence[Path],
    *,
    truth: Path | None = None,
    observed: Path | None = None,
    grid: str | None = None,
    voxel_size: VoxelSize | Edges | None = None,
    intensity_range: tuple[float, float] | RangeRule | None = None,
    reading: Reading | None = None,
) -> Subject:
    """Volumes that were made anywhere.

    Args:
        volumes: Reconstructions.
        truth: Isotropic truth.
        observed: What they were made from.
        grid: `centred` or `aligned`, if the observed file does not say or is wrong.
        voxel_size: Of the truth and the reconstructions; see `open_volume`.
        intensity_range: See `open_volume`.
        reading: See `open_volume`.

    Raises:
        DataError: If a file cannot be read, the volumes do not cover the same voxels, or their voxel sizes contradict
            each other.
    """
    made = [_opened(path, voxel_size, intensity_range, reading) for path in volumes]
    true = None if truth is None else _opened(truth, voxel_size, intensity_range, reading)
    seen = None if observed is None else _observed(observed, grid, intensity_range, reading, made[0].shape)
    named = [("truth", true)] if true is not None else []
    known, _ = one_size(*named, *(("reconstruction", volume) for volume in made))
    if known is not None:
        require_order(replace(made[0], voxel_size=known))
    if seen is not None:
        seen = _sized(seen, known, stated=voxel_size is not None)
    if true is not None:
        true = _cut_to(true, made[0].shape, seen)
    labels = [path.name.partition(".")[0] for path in volumes]
    entries = [Entry(label, replace(volume, voxel_size=known)) for label, volume in zip(labels, made, strict=True)]
    return Subject(true, seen, tuple(entries))


def _opened(
    path: Path,
    voxel_size: VoxelSize | Edges | None,
    span: tuple[float, float] | RangeRule | None,
    reading: Reading | None,
) -> Volume:
    volume = open_volume(path, voxel_size=voxel_size, intensity_range=span, reading=reading)
    return replace(volume, name=str(path))


def _sized(observed: Observed, known: VoxelSize | None, stated: bool) -> Observed:
    """The observed volume with the voxel size that it has by its scale and that of what was made from it.

    Raises:
        DataError: If its file says another one, and the user has not stated the size.
    """
    if known is None:
        return observed
    size = known.scaled(observed.axis, observed.grid.scale)
    if not stated:
        one_size(
            ("observed volume, by its scale,", replace(observed.volume, voxel_size=size)), ("file", observed.volume)
        )
    return replace(observed, volume=replace(observed.volume, voxel_size=size))


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
