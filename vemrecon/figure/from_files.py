"""The subject of a figure from files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vemrecon.errors import ConfigError, DataError
from vemrecon.figure.cuts import Observed
from vemrecon.figure.plate import Entry
from vemrecon.figure.subject import Subject
from vemrecon.file_options import INTENSITY_RANGE, OBSERVED_RANGE, RECONSTRUCTION_RANGE
from vemrecon.volume import Edges, RangeRule, Reading, Region, SectionGrid, Volume, VoxelSize, open_volume
from vemrecon.volume.beside import open_beside
from vemrecon.volume.geometry import one_size, require_order
from vemrecon.volume.reading import AS_IT_IS

NONE = "none"
"""In the place of a file of uncertainty."""
Asked = tuple[float, float] | RangeRule | None


@dataclass(frozen=True)
class Ranges:
    """Grey values that mean black and white, as the user states them; None where files are taken by their word."""

    first: Asked = None
    """Of the truth; without one of the observed volume, without both of the first reconstruction; and of others of the
    same type."""
    made: Asked = None
    """Of the reconstructions."""
    observed: Asked = None


def from_files(
    volumes: Sequence[Path],
    *,
    truth: Path | None = None,
    observed: Path | None = None,
    grid: str | None = None,
    voxel_size: VoxelSize | Edges | None = None,
    ranges: Ranges | None = None,
    reading: Reading | None = None,
    uncertainty: Sequence[Path] = (),
) -> Subject:
    """Volumes that were made anywhere.

    Args:
        volumes: Reconstructions.
        truth: Isotropic truth.
        observed: What they were made from.
        grid: `centred` or `aligned`, if the observed file does not say or is wrong.
        voxel_size: Of the truth and the reconstructions; see `open_volume`.
        ranges: Grey ranges.
        reading: See `open_volume`.
        uncertainty: Of the reconstructions, one for each, `NONE` where there is none; or of none of them.

    Raises:
        ConfigError: If ranges are stated of what is not there, or twice, or files of uncertainty are lacking.
        DataError: If a file cannot be read, its grey values do not fit their range, or the volumes do not cover the
            same voxels, or their voxel sizes contradict each other.
    """
    ranges = ranges or Ranges()
    _check_ranges(ranges, truth, observed)
    if uncertainty and len(uncertainty) != len(volumes):
        given = f"{len(uncertainty)} given for {len(volumes)} --volumes"
        raise ConfigError(f"--uncertainty: {given}; name one file for each, {NONE} where there is none")
    first: Volume | None = None

    def opened(path: Path, option: str, span: Asked, size: VoxelSize | Edges | None = None) -> Volume:
        nonlocal first
        if first is None and span is None:
            option, span = INTENSITY_RANGE, ranges.first
        found = open_beside(first, path, option=option, intensity_range=span, voxel_size=size, reading=reading)
        first = first or found
        return replace(found, name=str(path))

    true = opened(truth, INTENSITY_RANGE, ranges.first, voxel_size) if truth else None
    seen = opened(observed, OBSERVED_RANGE, ranges.observed) if observed else None
    made = [opened(path, RECONSTRUCTION_RANGE, ranges.made, voxel_size) for path in volumes]
    shape = made[0].shape
    named = [("truth", true)] if true is not None else []
    known, _ = one_size(*named, *(("reconstruction", volume) for volume in made))
    if known is not None:
        require_order(replace(made[0], voxel_size=known))
    placed = None
    if observed is not None and seen is not None:
        shared = replace(reading or AS_IT_IS, several=True)
        placed = _observed(seen, lambda scale: open_volume(observed, scale=scale, reading=shared), grid, shape)
        placed = _sized(placed, known, stated=voxel_size is not None)
    if true is not None:
        true = _cut_to(true, shape, placed)
    labels = [path.name.partition(".")[0] for path in volumes]
    spreads = [None if str(path) == NONE else open_beside(None, path, reading=reading) for path in uncertainty]
    entries = [
        Entry(label, replace(volume, voxel_size=known), uncertainty=spread)
        for label, volume, spread in zip(labels, made, spreads or [None] * len(made), strict=True)
    ]
    return Subject(true, placed, tuple(entries))


def _check_ranges(ranges: Ranges, truth: Path | None, observed: Path | None) -> None:
    """Refuse ranges that would not be used."""
    if ranges.observed is not None and observed is None:
        raise ConfigError(f"{OBSERVED_RANGE}: there is no --observed")
    option, own = (OBSERVED_RANGE, ranges.observed) if observed else (RECONSTRUCTION_RANGE, ranges.made)
    if truth is None and ranges.first is not None and own is not None:
        raise ConfigError(f"{INTENSITY_RANGE}: without --truth it is of the same volume as {option}; give one of them")


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
    volume: Volume, again: Callable[[float], Volume], kind: str | None, shape: tuple[int, int, int]
) -> Observed:
    """The observed volume of reconstructions of a shape; the axis that is shorter is the coarse one.

    Args:
        volume: The observed one.
        again: Opens it again, for a scale.
        kind: Of its grid, if the file does not say or is wrong.
        shape: Of the reconstructions.

    Raises:
        DataError: If there is no such axis, or more than one, or the file says that more or less sections were made.
    """
    shorter = [n for n, (own, other) in enumerate(zip(volume.shape, shape, strict=True)) if own != other]
    if len(shorter) != 1 or volume.shape[shorter[0]] > shape[shorter[0]]:
        raise DataError(
            f"{volume.name}: shape {volume.shape} (z, y, x) does not become {shape} along one axis; "
            f"--observed takes what the --volumes were made from"
        )
    axis = shorter[0]
    scale = shape[axis] / volume.shape[axis]
    grid = again(scale).grid if kind is None else SectionGrid.of_kind(kind, scale)
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
