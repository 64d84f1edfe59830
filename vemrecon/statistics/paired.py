"""Paired comparison of methods on the same blocks.

Two questions are asked, and a difference is taken as shown only where the answer to both is yes:

- *Do these reconstructions differ on tissue like this?* A permutation test: were the methods alike, the difference of
  every block might as well have the other sign. All 2^n signs are tried where there are few, else `FLIPS` random ones.
  It takes blocks for independent of each other, and their differences for symmetric.
- *Would other trainings differ too?* Where seeds were repeated, a t test whose error has the variation over seeds in
  it, as in `interval.py`. Nothing is known of the seeds of a method that was trained once.

For all pairs of a table the p values are corrected, so that the chance of a single wrong difference among all of them
is at most 5 %. Both corrections are steps down from the smallest p value, as Holm's. That of the t tests is Holm's own.
That of the permutations uses the same signs for all pairs at once and compares with the largest statistic of the pairs
that are left (Westfall and Young, "Resampling-based multiple testing", 1993, algorithm 2.8): Holm multiplies the
smallest p value by the number of pairs, and 8 blocks, whose smallest is 2/256, could never tell five methods apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vemrecon.seeding import derive
from vemrecon.statistics.interval import Interval, combined_interval, spread_of

Floats = NDArray[np.float64]

FEWEST_TESTED = 6
"""With fewer blocks the smallest p value, 2 / 2^blocks, is above 5 %."""
MOST_EXACT = 13
"""Blocks up to which all signs are tried: 4096, as the opposite of a sign gives the same statistic."""
FLIPS = 10_000
CHUNK = 1 << 17
"""Statistics that are held in memory at once; few, so that they stay in the cache of a processor."""
TOLERANCE = 1e-9  # relative; statistics that are equal but for rounding count as equal


@dataclass(frozen=True)
class Tested:
    """P values of a pair."""

    p: float
    """Of this pair alone."""
    adjusted: float
    """Corrected for all pairs that were tested with it."""


@dataclass(frozen=True)
class Difference:
    """First method minus second one, on the same blocks."""

    mean: float
    """Mean over blocks and seeds."""
    interval: Interval | None
    """None where there are too few blocks."""
    p: float | None
    """None where there are too few blocks."""


def compare(first: Floats, second: Floats) -> Difference:
    """Two methods, and no others.

    Args:
        first: Scores, shape (seeds, blocks).
        second: Scores on the same blocks, with seeds of its own.
    """
    tested = compare_all([first, second])
    interval = combined_interval([first, second], [1.0, -1.0])
    return Difference(float(first.mean() - second.mean()), interval, tested[0, 1].p if tested else None)


def compare_all(tables: Sequence[Floats]) -> dict[tuple[int, int], Tested]:
    """All pairs of methods.

    Args:
        tables: Scores of each method, shapes (seeds, blocks); the blocks are the same.

    Returns:
        By the numbers of two methods, the smaller one first; empty where there are too few blocks.
    """
    pairs = [(a, b) for a in range(len(tables)) for b in range(a + 1, len(tables))]
    if not pairs or tables[0].shape[1] < FEWEST_TESTED:
        return {}
    alone, adjusted = _permutation(np.stack([table.mean(axis=0) for table in tables]), pairs)
    over_seeds = {n: p for n, (a, b) in enumerate(pairs) if (p := _seeds_p(tables[a], tables[b])) is not None}
    for n, corrected in zip(over_seeds, holm(list(over_seeds.values())), strict=True):
        alone[n] = max(alone[n], over_seeds[n])
        adjusted[n] = max(adjusted[n], corrected)
    return {pair: Tested(float(alone[n]), float(adjusted[n])) for n, pair in enumerate(pairs)}


def _seeds_p(first: Floats, second: Floats) -> float | None:
    """Two-sided p value of a t test with the variation over seeds in its error; None where no seed was repeated."""
    from scipy.special import stdtr

    if max(len(first), len(second)) < 2:
        return None
    mean = float(first.mean() - second.mean())
    spread = spread_of([first, second], [1.0, -1.0])
    if spread.variance <= 0:
        return 1.0 if mean == 0 else 0.0
    return 2 * float(stdtr(spread.freedom, -abs(mean) / math.sqrt(spread.variance)))


def holm(values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    steps = [min(1.0, values[n] * (len(values) - k)) for k, n in enumerate(order)]
    corrected = np.empty(len(values))
    corrected[order] = np.maximum.accumulate(steps) if steps else []
    return [float(p) for p in corrected]


def _permutation(by_block: Floats, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """P values of sign flips, of each pair alone and stepped down over all.

    The statistic is the squared mean over the mean of squares, which rises and falls with the square of Student's t;
    squares do not change with the sign, so that a flip changes only the mean.

    Args:
        by_block: Score of every method on every block, shape (methods, blocks).
        pairs: Numbers of two methods each.
    """
    first, second = np.array(pairs).T
    signs = _signs(by_block.shape[1])
    squares = ((by_block[first] - by_block[second]) ** 2).mean(axis=1)
    squares[squares <= 1e-26 * float((by_block**2).max())] = np.inf  # differences of rounding alone: never shown
    means = by_block.mean(axis=1)
    observed = (means[first] - means[second]) ** 2 / squares
    order = np.argsort(-observed, kind="stable")
    first, second, weights, reached = first[order], second[order], 1 / squares[order], observed[order]
    reached = reached * (1 - TOLERANCE)
    alone, stepped = np.zeros(len(pairs)), np.zeros(len(pairs))
    step = max(1, CHUNK // len(pairs))
    for start in range(0, len(signs), step):
        means = signs[start : start + step] @ by_block.T / by_block.shape[1]  # (flips, methods)
        statistic = means[:, first] - means[:, second]
        statistic *= statistic
        statistic *= weights
        alone += (statistic >= reached).sum(axis=0)
        from_last = statistic[:, ::-1]  # the largest of a pair and all that come after it
        largest = np.maximum.accumulate(from_last, axis=1, out=from_last)[:, ::-1]
        stepped += (largest >= reached).sum(axis=0)
    found = np.empty((2, len(pairs)))
    found[0, order] = alone / len(signs)
    found[1, order] = np.maximum.accumulate(stepped / len(signs))
    return found[0], found[1]


def _signs(blocks: int) -> Floats:
    """Signs of blocks, shape (flips, blocks), the first row being those of the observation.

    All of them, up to turning all at once, which changes no statistic; or random ones.
    """
    if blocks <= MOST_EXACT:
        numbers = np.arange(2 ** (blocks - 1))
        every: Floats = np.where((numbers[:, None] >> np.arange(blocks)) & 1, -1.0, 1.0)
        return every
    signs: Floats = derive(0, "sign flips", blocks).choice([-1.0, 1.0], size=(FLIPS, blocks))
    signs[0] = 1.0
    return signs
