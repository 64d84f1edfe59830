"""`Paired`: two rows of a table on the same blocks. What gains and `vemrecon compare` have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vemrecon.metrics.column import Better, Column
from vemrecon.report.block_scores import block_scores, judged
from vemrecon.report.cells import WHOLE
from vemrecon.report.row import Row
from vemrecon.statistics import FEWEST_BLOCKS, Interval, combined_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """First row minus second one, by one score; where the best value is 0 or 1, by the distances from it."""

    difference: float
    """Of the whole volume, of means over seeds."""
    interval: Interval | None = None
    """Around it, from the blocks that both have and the seeds of each."""
    blocks: int = 0
    """How many both have."""
    tables: tuple[Floats, Floats] | None = None
    """Scores of these blocks, shapes (seeds, blocks); None where there is no interval."""
    reason: str = ""
    """Why there is no interval."""

    @property
    def by_blocks(self) -> float:
        """The difference of the means over blocks, which may be another one than that of the whole volume."""
        first, second = self.tables or (np.zeros(1), np.zeros(1))
        return float(first.mean() - second.mean())


def paired(first: Row, second: Row, column: Column) -> Paired | None:
    """Compare two finished rows; None where one has no value of the whole volume.

    Args:
        first: A row.
        second: Another one of the same table.
        column: Of the table.
    """
    values = [row.cells[WHOLE][column.key].value for row in (first, second)]
    one, other = (value if value is None else distance(value, column.better) for value in values)
    if one is None or other is None:
        return None
    plain = Paired(one - other)
    found = [block_scores(row.results, column) for row in (first, second)]
    for row, scores in zip((first, second), found, strict=True):
        if isinstance(scores, str):
            return Paired(plain.difference, reason=f"{row.label}: {scores}")
    known = [scores for scores in found if not isinstance(scores, str)]
    common = sorted(set(known[0].blocks) & set(known[1].blocks))
    if len(common) < FEWEST_BLOCKS:
        few = f"{len(common)} evaluation blocks in common, fewer than {FEWEST_BLOCKS}"
        return Paired(plain.difference, blocks=len(common), reason=few)
    tables = (judged(known[0].of(common), column.better), judged(known[1].of(common), column.better))
    made = Paired(plain.difference, blocks=len(common), tables=tables)
    interval = combined_interval(tables, [1.0, -1.0])
    moved = interval.around(made.by_blocks, made.difference) if interval else None
    return Paired(made.difference, moved, made.blocks, tables)


def distance(value: float, better: Better) -> float:
    """The value, or how far it is from the best one where that is 0 or 1."""
    return better.badness(value) if better in (Better.ONE, Better.ZERO) else value
