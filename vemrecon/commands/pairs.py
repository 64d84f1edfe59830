"""Open a truth and what is scored against it: one grid of voxels, and for each its own meaning of grey levels."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
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
    return _one_size(truth, made)


def say_notes(volumes: Iterable[Volume]) -> None:
    """Tell the user what was done to read volumes, each thing once."""
    for line in dict.fromkeys(f"{volume.name}: {note}" for volume in volumes for note in volume.notes):
        print(line, file=sys.stderr)


def _one_size(truth: Volume, made: Volume) -> tuple[Volume, Volume]:
    first, second = truth.voxel_size, made.voxel_size
    if first is not None and second is not None and not first.close_to(second):
        raise DataError(
            f"voxel sizes contradict each other (z, y, x): the truth {truth.name} says {first}, the reconstruction "
            f"{made.name} says {second}; say which is right with --voxel-size Z Y X"
        )
    if first is None and second is not None:
        print(f"{truth.name}: says no voxel size; that of {made.name} is taken, {second}", file=sys.stderr)
        truth = replace(truth, voxel_size=second)
    return truth, replace(made, voxel_size=truth.require_voxel_size())
