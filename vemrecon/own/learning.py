"""What a method learns from on a volume of one's own: sound sections, less a band of rows that watches the training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vemrecon.data.inspect import sections_text
from vemrecon.data.source import IN_MEMORY_BYTES, Source
from vemrecon.degradations import Degradation, make_degradation
from vemrecon.errors import DataError
from vemrecon.volume import Region, SectionGrid, Volume

HELD_OUT = 1 / 16  # of the rows
MOST_HELD_OUT = 1 / 8  # where a sixteenth is less than a patch needs
LEAST_ROWS = 24
LEAST_SLABS = 3  # patches of two are the smallest


@dataclass(frozen=True)
class Faults:
    """Numbers of sections that a training has to mind.

    Attributes:
        unfit: Nothing is learned from these: black, of another contrast than those beside them, or missing.
        displaced: Sound ones that do not continue the one before: no patch reaches from one to the other.
    """

    unfit: frozenset[int] = frozenset()
    displaced: frozenset[int] = frozenset()

    def runs(self, count: int) -> Iterator[tuple[int, int]]:
        """First section and end of all runs of sections that continue each other.

        >>> list(Faults(frozenset({0, 3, 4}), frozenset({6})).runs(8))
        [(1, 3), (5, 6), (6, 8)]
        """
        first = 0
        for z in range(1, count + 1):
            if z == count or z in self.displaced or {z - 1, z} & self.unfit:
                if first not in self.unfit:
                    yield first, z
                first = z

    def text(self, count: int) -> str:
        """What of it the user should know; empty where nothing is wrong."""
        unfit, displaced = sorted(self.unfit), sorted(self.displaced - self.unfit)
        parts = [f"leaves out {sections_text(tuple(unfit))} ({len(unfit)} of {count})"] if unfit else []
        parts += [f"takes no block across the displacement at {sections_text(tuple(displaced))}"] if displaced else []
        return f"the training {' and '.join(parts)}" if parts else ""


SOUND = Faults()


def learning_source(volume: Volume, faults: Faults, regime: str, memory: int | None = None) -> Source:
    """What may be learned from the recorded sections of a volume.

    Runs of sound sections are volumes of their own, so that no patch shows an unfit section or reaches across one. The
    last rows of all of them are held out: nothing is learned from these, they tell how the training goes on. Small
    volumes have none to spare.

    Args:
        volume: Knows where its sections lie.
        faults: What is wrong with its sections.
        regime: Of the method.
        memory: Most bytes that the whole process may take.

    Raises:
        DataError: If more than half of the sections are unfit.
    """
    count, y, x = volume.shape
    if 2 * len(faults.unfit) > count:
        raise DataError(
            f"{volume.name}: {len(faults.unfit)} of {count} sections are black, of another contrast or missing, so "
            f"that too few are left to learn from; repair them, or give --weights FILE"
        )
    rows, runs = held_out_rows(volume), list(faults.runs(count))
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


def learning_degradation(grid: SectionGrid) -> Degradation:
    """How a lateral axis is degraded for training: as the volume's sections came about."""
    return make_degradation("subsample" if grid.thin else "average", grid.scale)
