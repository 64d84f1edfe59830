"""Volumes that are scored or shown beside each other: each has its own meaning of grey levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vemrecon.volume.edges import Edges
from vemrecon.volume.formats import open_volume
from vemrecon.volume.intensity import RangeRule, check_range, check_same_range
from vemrecon.volume.reading import AS_IT_IS, Reading
from vemrecon.volume.volume import Span, Volume
from vemrecon.volume.voxels import VoxelSize

FIRST = "--intensity-range"


def open_beside(
    first: Volume | None,
    path: Path | str,
    dataset: str | None = None,
    *,
    option: str = FIRST,
    intensity_range: Span | RangeRule | None = None,
    voxel_size: VoxelSize | Edges | None = None,
    reading: Reading | None = None,
) -> Volume:
    """One of several volumes, with a range of grey levels that was compared with what it holds.

    One of the type of the first has the range that is stated for the first, unless one is stated for it or
    its file says one.

    Args:
        first: The one whose range others may share; None to open that one.
        path: See `open_volume`.
        dataset: See `open_volume`.
        option: What states the range of this one.
        intensity_range: Stated for this one.
        voxel_size: See `open_volume`.
        reading: What the user says of all of them.

    Raises:
        DataError: If it cannot be read, or nobody knows which grey values mean black and white.
    """
    reading = replace(reading or AS_IT_IS, several=True)
    volume = open_volume(path, dataset, voxel_size=voxel_size, intensity_range=intensity_range, reading=reading)
    return with_range_of(first, volume, option)


def with_range_of(first: Volume | None, volume: Volume, option: str = FIRST) -> Volume:
    """A volume with the range that is stated for the first one, if it has the same type and none is stated for it.

    Args:
        first: The one whose range others may share; None for that one.
        volume: Just opened.
        option: What states the range of this one.

    Raises:
        DataError: If nobody knows which grey values mean black and white.
    """
    if first is not None and first.stated and not volume.stated and volume.dtype == first.dtype:
        volume = replace(volume, intensity_range=first.intensity_range, stated=True)
        notes = check_same_range(volume, first, option)
    else:
        notes = check_range(volume, option)
    return replace(volume, notes=(*volume.notes, *notes))
