"""What a method learns from on a volume of one's own: sound sections, less a band of rows that watches the training."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from itertools import pairwise

from vemrecon.data.inspect import sections_text
from vemrecon.data.source import IN_MEMORY_BYTES, Source
from vemrecon.degradations import Degradation, make_degradation
from vemrecon.errors import DataError
from vemrecon.volume import Region, SectionGrid, Volume

HELD_OUT = 1 / 16  # of the rows
MOST_HELD_OUT = 1 / 8  # where a sixteenth is less than a patch needs
LEAST_ROWS = 24
LEAST_SLABS = 3  # patches of two are the smallest


def learning_source(volume: Volume, unfit: Collection[int], regime: str, memory: int | None = None) -> Source:
    """What may be learned from the recorded sections of a volume.

    Runs of sound sections are volumes of their own, so that no patch shows an unfit section or reaches across one. The
    last rows of all of them are held out: nothing is learned from these, they tell how the training goes on. Small
    volumes have none to spare.

    Args:
        volume: Knows where its sections lie.
        unfit: Numbers of sections that nothing is learned from.
        regime: Of the method.
        memory: Most bytes that the whole process may take.

    Raises:
        DataError: If more than half of the sections are unfit.
    """
    if 2 * len(unfit) > volume.shape[0]:
        raise DataError(
            f"{volume.name}: {len(unfit)} of {volume.shape[0]} sections are black, of another contrast, displaced or "
            f"missing, so that too few are left to learn from; repair them, or give --weights FILE"
        )
    rows, (_, y, x) = held_out_rows(volume), volume.shape
    runs = list(sound_runs(volume.shape[0], unfit))
    return Source.of(
        [volume.crop(Region((first, 0, 0), (end, y - rows, x))) for first, end in runs],
        learning_degradation(volume.require_grid()),
        regime,
        validation=[volume.crop(Region((first, y - rows, 0), (end, y, x))) for first, end in runs if rows],
        memory=IN_MEMORY_BYTES if memory is None else min(IN_MEMORY_BYTES, memory // 4),
    )


def held_out_rows(volume: Volume) -> int:
    """Rows at the end of every section that watch a training: a sixteenth, or as few as patches need; 0 if too many."""
    rows = volume.shape[1]
    least = max(LEAST_ROWS, math.ceil(LEAST_SLABS * volume.require_grid().scale))
    wanted = max(math.ceil(HELD_OUT * rows), least)
    return wanted if wanted <= MOST_HELD_OUT * rows and volume.shape[2] >= least else 0


def sound_runs(count: int, unfit: Collection[int]) -> Iterator[tuple[int, int]]:
    """First section and end of each run without unfit ones.

    >>> list(sound_runs(8, {0, 3, 4}))
    [(1, 3), (5, 8)]
    """
    edges = [-1, *sorted(unfit), count]
    yield from ((before + 1, after) for before, after in pairwise(edges) if after > before + 1)


def left_out_text(unfit: Collection[int], count: int) -> str:
    """What is said about sections that nothing is learned from."""
    return f"the training leaves out {sections_text(tuple(sorted(unfit)))} ({len(unfit)} of {count})"


def learning_degradation(grid: SectionGrid) -> Degradation:
    """How a lateral axis is degraded for training: as the volume's sections came about."""
    return make_degradation("subsample" if grid.thin else "average", grid.scale)
