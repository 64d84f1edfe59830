"""95 % intervals of a mean over evaluation blocks and seeds.

Scores are a table of seeds by blocks: every trained network is scored on the same blocks of tissue. A score is taken as
the sum of a mean, an effect of the block, an effect of the seed and a rest. Blocks are samples of tissue like this one,
seeds are samples of trainings.

The interval is a hierarchical bootstrap whose width is corrected for small numbers:

1. Blocks are drawn with replacement, the same for all seeds (and for both methods of a comparison), because they are
   what all scores have in common. Then seeds are drawn with replacement, the same for all blocks, because a network is
   scored on all of them. This is the bootstrap of crossed factors of Owen (2007). Its quantiles give the interval its
   shape: how much farther it reaches to one side than to the other.
2. With few blocks or seeds the bootstrap is too narrow: it covers the truth in 80 % of cases for four blocks. Its
   standard error is therefore replaced by that of the analysis of variance, which has no bias, and the normal quantile
   by one of t distributions: the mean of what Satterthwaite's degrees of freedom give, which is too narrow for two or
   three seeds, and of Howe's rule, which is too wide.

With one seed nothing is known about other seeds: the interval is about this one trained network on other tissue.
`benchmark/studies/intervals.py` measures how often the interval holds the truth.

Sources: A. B. Owen, "The pigeonhole bootstrap", Ann. Appl. Stat. 1(2), 2007; T. C. Hesterberg, "What teachers should
know about the bootstrap", Am. Stat. 69(4), 2015 (why it is too narrow); F. E. Satterthwaite, Biometrics Bull. 2(6),
1946; W. G. Howe, J. Am. Stat. Assoc. 69, 1974; crossed factors: R. K. Burdick & F. A. Graybill, "Confidence intervals
on variance components", 1992.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vemrecon.seeding import derive

Floats = NDArray[np.float64]

LEVEL = 0.95
FEWEST_BLOCKS = 4
"""With fewer of them an interval would mostly show how few there are."""
DRAWS = 4000


@dataclass(frozen=True)
class Interval:
    """Where the mean over more blocks, and more seeds where there were several, is to be expected."""

    low: float
    high: float
    blocks: int
    seeds: int

    def around(self, centre: float, value: float) -> Interval:
        """The interval of a value that is not quite the mean: as far below and above it as this one of its centre."""
        return Interval(value + self.low - centre, value + self.high - centre, self.blocks, self.seeds)


class Part(NamedTuple):
    """What one factor adds to the squared standard error of a mean, and the degrees of freedom behind it."""

    variance: float
    freedom: float


@dataclass(frozen=True)
class Spread:
    """The squared standard error of a mean, as a sum over blocks and the seeds of each method."""

    factors: tuple[tuple[Part, ...], ...]
    """A factor is a mean square, and where a rest has to be taken off it another one that is negative."""

    @property
    def variance(self) -> float:
        """In all."""
        return sum(part.variance for factor in self.factors for part in factor)

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom of the sum."""
        squares = sum(part.variance**2 / part.freedom for factor in self.factors for part in factor)
        return self.variance**2 / squares if squares > 0 else 1.0

    @property
    def reach(self) -> float:
        """Half the width of a symmetric interval: the mean of Satterthwaite's and of Howe's."""
        satterthwaite = _t_quantile(self.freedom) ** 2 * self.variance
        howe = sum(
            _t_quantile(factor[0].freedom) ** 2 * sum(part.variance for part in factor) for factor in self.factors
        )
        return (math.sqrt(max(satterthwaite, 0.0)) + math.sqrt(max(howe, 0.0))) / 2


def mean_interval(scores: Floats) -> Interval | None:
    """The interval of the mean of all scores.

    Args:
        scores: One for each seed and block, shape (seeds, blocks).

    Returns:
        None where there are fewer than `FEWEST_BLOCKS` blocks.
    """
    return combined_interval([scores], [1.0])


def combined_interval(tables: Sequence[Floats], signs: Sequence[float]) -> Interval | None:
    """The interval of a sum of means, each with its sign, over the same blocks but seeds of their own.

    Args:
        tables: Shapes (seeds, blocks); the blocks are the same.
        signs: Of every table: 1 and -1 for a difference.

    Returns:
        None where there are fewer than `FEWEST_BLOCKS` blocks.
    """
    blocks = tables[0].shape[1]
    if blocks < FEWEST_BLOCKS:
        return None
    centre = sum(sign * float(table.mean()) for table, sign in zip(tables, signs, strict=True))
    reach = spread_of(tables, signs).reach
    low, high = (centre + reach * side for side in _shape(tables, signs))
    return Interval(low, high, blocks, min(len(table) for table in tables))


def spread_of(tables: Sequence[Floats], signs: Sequence[float]) -> Spread:
    """The squared standard error of a sum of means, from the analysis of variance of crossed blocks and seeds.

    Args:
        tables: Shapes (seeds, blocks) with at least two blocks.
        signs: Of every table.
    """
    blocks = tables[0].shape[1]
    by_block = np.zeros(blocks)
    for table, sign in zip(tables, signs, strict=True):
        by_block += sign * table.mean(axis=0)
    of_blocks = (Part(float(np.var(by_block, ddof=1)) / blocks, blocks - 1.0),)
    return Spread((of_blocks, *(part for table in tables if (part := _seed_parts(table)))))


def _seed_parts(table: Floats) -> tuple[Part, ...]:
    """What differences between seeds add: nothing for one seed, or where they are no larger than the rest.

    The mean squares of seeds and, taken off it, of the rest together estimate the variance of seeds over their number.
    """
    seeds, blocks = table.shape
    if seeds < 2:
        return ()
    by_seed = table.mean(axis=1)
    rest = table - table.mean(axis=0) - by_seed[:, None] + table.mean()
    between = float(np.var(by_seed, ddof=1)) / seeds
    within = float((rest**2).sum()) / ((seeds - 1) * (blocks - 1)) / (seeds * blocks)
    if between <= within:
        return ()
    return Part(between, seeds - 1.0), Part(-within, (seeds - 1.0) * (blocks - 1.0))


def _shape(tables: Sequence[Floats], signs: Sequence[float]) -> tuple[float, float]:
    """Lower and upper end of the bootstrap interval around its mean, in units of the normal quantile times its
    standard deviation: (-1, 1) where it is symmetric and normal."""
    of_blocks = _draws("blocks", tables[0].shape[1])
    drawn = np.zeros(DRAWS)
    for number, (table, sign) in enumerate(zip(tables, signs, strict=True)):
        if len(table) == 1:
            drawn += sign * (of_blocks @ table[0])
        else:
            drawn += sign * ((_draws(f"seeds {number}", len(table)) @ table) * of_blocks).sum(axis=1)
    drawn -= drawn.mean()
    deviation = float(drawn.std())
    if deviation <= 1e-12 * max(float(np.abs(table).max()) for table in tables):
        return -1.0, 1.0
    ends = round(DRAWS * (1 - LEVEL) / 2)
    ordered = np.partition(drawn, (ends, DRAWS - 1 - ends))
    unit = deviation * _normal_quantile()
    return float(ordered[ends]) / unit, float(ordered[DRAWS - 1 - ends]) / unit


@cache
def _draws(name: str, count: int) -> Floats:
    """Shares of `count` things in draws with replacement, shape (draws, count); the same ones for every row."""
    rng = derive(0, "bootstrap", name, count)
    shares: Floats = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS) / count
    return shares


@cache
def _normal_quantile() -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + LEVEL) / 2))


@lru_cache(maxsize=1024)
def _t_quantile(freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))
