"""Volumes that are scored or shown beside each other: each has its own meaning of grey levels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vemrecon.errors import DataError
from vemrecon.volume.edges import Edges
from vemrecon.volume.formats import open_volume
from vemrecon.volume.geometry import one_size, require_order
from vemrecon.volume.intensity import RangeRule, check_range, check_same_range
from vemrecon.volume.reading import AS_IT_IS, Reading
from vemrecon.volume.region import Region
from vemrecon.volume.volume import Span, Volume
from vemrecon.volume.voxels import VoxelSize

FIRST = "--intensity-range"
HALF = 0.5 + 1e-6
"""Of a voxel, by which volumes may be moved without another voxel being meant."""


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


def on_one_grid(truth: Volume, made: Volume, scale: float | None = None) -> tuple[Volume, Volume, tuple[str, ...]]:
    """A truth and its reconstruction with one voxel size, cut to what both have, and notes for the user.

    Args:
        truth: As it was opened.
        made: Likewise.
        scale: Anisotropy factor of what it was made from; parts begin with a whole slab of it.

    Raises:
        DataError: If their voxel sizes contradict each other, or nothing is whole in both.
    """
    truth, made, cut = _common_part(truth, made, scale)
    size, sized = one_size(("truth", truth), ("reconstruction", made))
    truth, made = replace(truth, voxel_size=size), replace(made, voxel_size=size)
    require_order(truth)
    return truth, made, (*cut, *sized, *_apart(truth, made))


def _common_part(truth: Volume, made: Volume, scale: float | None) -> tuple[Volume, Volume, tuple[str, ...]]:
    """Where a part is read of a file of which some is missing: what is whole in both, from a whole slab on."""
    whole = tuple(truth.array.shape)
    if whole != tuple(made.array.shape) or truth.shape == made.shape == whole:
        return truth, made, ()
    parts = [volume.whole.shifted(volume.start) for volume in (truth, made)]
    common = parts[0].intersection(parts[1])
    if common is not None:
        slabs = Fraction(scale or 1).limit_denominator(1000).numerator  # sections after which the grid repeats
        start = -(-common.start[0] // slabs) * slabs
        common = Region((start, *common.start[1:]), common.stop) if start < common.stop[0] else None
    if common is None:
        raise DataError(f"{truth.name}, {made.name}: nothing is whole in both, so --missing exclude leaves nothing")
    note = f"scored is {common} of {' x '.join(map(str, whole))} voxels"
    return truth.crop(common.relative_to(truth.start)), made.crop(common.relative_to(made.start)), (note,)


def _apart(truth: Volume, made: Volume) -> tuple[str, ...]:
    """A note where a file says that it lies elsewhere: the scores are then those of two different places."""
    size = truth.voxel_size
    if size is None or truth.shape != made.shape:
        return ()
    steps = [(b - a) / edge for a, b, edge in zip(truth.origin, made.origin, size, strict=True)]
    if not any(truth.origin):  # sections whose place nobody said have their own centre at 0, which is not voxel 0
        steps[0] = max(0.0, steps[0])
    if max(map(abs, steps)) <= HALF:
        return ()
    moved = " ".join(f"{step:g}" for step in steps)
    return (
        f"{made.name} says that it lies {moved} voxels (z y x) from {truth.name}: they are scored as if they covered "
        f"the same voxels; cut the same part out of the truth if they do not",
    )
