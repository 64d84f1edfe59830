"""Open a truth and what is scored against it: one grid of voxels, and for each its own meaning of grey levels."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vemrecon.errors import DataError
from vemrecon.file_options import RECONSTRUCTION_RANGE, read_range_words

if TYPE_CHECKING:
    from vemrecon.commands.volumes import EvaluateOptions
    from vemrecon.volume import Volume


def open_pair(options: EvaluateOptions) -> tuple[Volume, Volume]:
    """Truth and reconstruction with the same voxel size; says what was done to read them.

    Raises:
        DataError: If their voxel sizes contradict each other, or nobody knows which grey values mean black and white.
    """
    from vemrecon.volume.beside import open_beside
    from vemrecon.volume.geometry import one_size, require_order

    size, reading = options.voxels, options.reading
    truth = open_beside(
        None,
        options.truth,
        options.truth_dataset,
        intensity_range=options.grey_range,
        voxel_size=size,
        reading=reading,
    )
    made = open_beside(
        truth,
        options.reconstruction,
        options.reconstruction_dataset,
        option=RECONSTRUCTION_RANGE,
        intensity_range=read_range_words(RECONSTRUCTION_RANGE, options.reconstruction_range),
        voxel_size=size,
        reading=reading,
    )
    say_notes([truth, made])
    truth, made = _common_part(truth, made, options.scale)
    found, notes = one_size(("truth", truth), ("reconstruction", made))
    for note in notes:
        print(note, file=sys.stderr)
    truth = replace(truth, voxel_size=truth.voxel_size or found)
    require_order(truth)
    return truth, replace(made, voxel_size=truth.require_voxel_size())


def _common_part(truth: Volume, made: Volume, scale: float | None) -> tuple[Volume, Volume]:
    """Where `--missing exclude` reads a part of a file: what is whole in both, from a whole slab on.

    Raises:
        DataError: If there is nothing.
    """
    from vemrecon.volume import Region

    whole = tuple(truth.array.shape)
    if whole != tuple(made.array.shape) or truth.shape == made.shape == whole:
        return truth, made
    parts = [volume.whole.shifted(volume.start) for volume in (truth, made)]
    common = parts[0].intersection(parts[1])
    if common is not None:
        slabs = Fraction(scale or 1).limit_denominator(1000).numerator  # sections after which the grid repeats
        start = -(-common.start[0] // slabs) * slabs
        common = Region((start, *common.start[1:]), common.stop) if start < common.stop[0] else None
    if common is None:
        raise DataError(f"{truth.name}, {made.name}: nothing is whole in both, so --missing exclude leaves nothing")
    print(f"scored is {common} of {' x '.join(map(str, whole))} voxels", file=sys.stderr)
    return truth.crop(common.relative_to(truth.start)), made.crop(common.relative_to(made.start))


def say_notes(volumes: Iterable[Volume]) -> None:
    """Tell the user what was done to read volumes, each thing once."""
    for line in dict.fromkeys(f"{volume.name}: {note}" for volume in volumes for note in volume.notes):
        print(line, file=sys.stderr)
