"""Open a truth and what is scored against it: one grid of voxels, and for each its own meaning of grey levels."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vemrecon.file_options import RECONSTRUCTION_RANGE, read_range_words

if TYPE_CHECKING:
    from vemrecon.commands.volume_options import EvaluateOptions
    from vemrecon.volume import Volume


def open_pair(options: EvaluateOptions) -> tuple[Volume, Volume]:
    """Truth and reconstruction with the same voxel size; says what was done to read them.

    Raises:
        DataError: If their voxel sizes contradict each other, or nobody knows which grey values mean black and white.
    """
    from vemrecon.volume.beside import on_one_grid, open_beside

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
    truth, made, notes = on_one_grid(truth, made, options.scale)
    for note in notes:
        print(note, file=sys.stderr)
    truth.require_voxel_size()
    return truth, made


def say_notes(volumes: Iterable[Volume]) -> None:
    """Tell the user what was done to read volumes, each thing once."""
    for line in dict.fromkeys(f"{volume.name}: {note}" for volume in volumes for note in volume.notes):
        print(line, file=sys.stderr)
