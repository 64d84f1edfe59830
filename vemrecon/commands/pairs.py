"""Open a truth and what is scored against it: one grid of voxels, and for each its own meaning of grey levels."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from vemrecon.errors import DataError
from vemrecon.file_options import read_range_words

if TYPE_CHECKING:
    from vemrecon.commands.volumes import EvaluateOptions
    from vemrecon.volume import Volume

RANGE_OPTION = "--reconstruction-range"


def open_pair(options: EvaluateOptions) -> tuple[Volume, Volume]:
    """Truth and reconstruction with the same voxel size; says what was done to read them.

    A reconstruction of the type of the truth has the range that is stated for the truth, unless one is stated for it or
    its file says one.

    Raises:
        DataError: If their voxel sizes contradict each other, or nobody knows which grey values mean black and white.
    """
    from vemrecon.volume import check_range, open_volume
    from vemrecon.volume.intensity import check_same_range

    size, reading = options.voxels, options.reading
    truth = open_volume(
        options.truth, options.truth_dataset, voxel_size=size, intensity_range=options.grey_range, reading=reading
    )
    said = {truth.name: [*truth.notes, *check_range(truth)]}
    own = read_range_words(RANGE_OPTION, options.reconstruction_range)
    made = open_volume(
        options.reconstruction,
        options.reconstruction_dataset,
        voxel_size=size,
        intensity_range=own,
        reading=reading,
    )
    if own is None and truth.stated and not made.stated and made.dtype == truth.dtype:
        made = replace(made, intensity_range=truth.intensity_range, stated=True)
        notes = check_same_range(made, truth, RANGE_OPTION)
    else:
        notes = check_range(made, RANGE_OPTION)
    said.setdefault(made.name, []).extend(note for note in (*made.notes, *notes) if note not in said[truth.name])
    for name, lines in said.items():
        for line in lines:
            print(f"{name}: {line}", file=sys.stderr)
    return _one_size(truth, made)


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
