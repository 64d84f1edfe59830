"""How often intervals hold a known truth, and how often paired tests see a difference where there is none.

    python benchmark/studies/intervals.py [--tries 2000]

Scores are simulated: a mean, an effect of the block, one of the seed, and a rest, with the standard deviations of each
line. `skewed` draws the effects of blocks from a gamma distribution of skewness 1. Takes some minutes; tests do a part.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vemrecon.statistics import Estimate, compare, compare_all, mean_interval, mean_of_groups

Floats = NDArray[np.float64]
BLOCKS, SEEDS = (4, 8, 27), (1, 2, 3, 5)
PARTS = ((1.0, 0.1, 0.1), (1.0, 0.4, 0.3), (1.0, 1.0, 0.3))
"""Standard deviations of blocks, seeds and the rest. The first line is about that of PSNR in dB, of a method alone."""


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Effects without skewness, with standard deviation 1."""
    return rng.standard_normal(shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Effects of skewness 1, with mean 0 and standard deviation 1."""
    return (rng.gamma(4.0, 1.0, shape) - 4.0) / 2.0


Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def scores(rng: np.random.Generator, seeds: int, blocks: int, parts: Iterable[float], draw: Draw = normal) -> Floats:
    """Scores of a method whose true mean is 0, shape (seeds, blocks); of one seed the mean is that of this seed."""
    of_blocks, of_seeds, rest = parts
    found: Floats = of_blocks * draw(rng, (1, blocks)) + rest * rng.standard_normal((seeds, blocks))
    return found + of_seeds * rng.standard_normal((seeds, 1)) if seeds > 1 else found


def coverage(tries: int, seeds: int, blocks: int, parts: Iterable[float], draw: Draw = normal, seed: int = 0) -> float:
    """Percentage of intervals that hold the true mean, 0."""
    rng, parts, held = np.random.default_rng(seed), tuple(parts), 0
    for _ in range(tries):
        found = mean_interval(scores(rng, seeds, blocks, parts, draw))
        held += found is not None and found.low <= 0 <= found.high
    return 100 * held / tries


def pooled_coverage(tries: int, blocks: int, spread: float, seed: int = 0) -> float:
    """Percentage of intervals of a PSNR that hold its true value, where the table shows that of the whole volume.

    Mean squared errors of blocks are log-normal; the PSNR of the whole volume is that of their mean, and the interval
    of the mean PSNR of blocks is moved there. `spread` is the standard deviation of the PSNR of blocks, in dB.
    """
    rng, held, log = np.random.default_rng(seed), 0, spread * np.log(10) / 10
    truth = -10 * np.log10(np.exp(log**2 / 2))
    for _ in range(tries):
        errors = rng.lognormal(0.0, log, blocks)
        psnr, whole = -10 * np.log10(errors), float(-10 * np.log10(errors.mean()))
        found = mean_interval(psnr[None])
        moved = found and found.around(float(psnr.mean()), whole)
        held += moved is not None and moved.low <= truth <= moved.high
    return 100 * held / tries


def mean_coverage(tries: int, tasks: int, tissues: int, blocks: int, shared: float, seed: int = 0) -> float:
    """Percentage of intervals of means over tissues that hold the true mean, 0.

    Args:
        tries: How often.
        tasks: Of each tissue.
        tissues: How many.
        blocks: Of each task; tasks of a tissue have the same ones.
        shared: Share of the variance of blocks that tasks of a tissue have in common.
        seed: Of the draws.
    """
    rng, held = np.random.default_rng(seed), 0
    for _ in range(tries):
        groups = []
        for _ in range(tissues):
            common = np.sqrt(shared) * rng.standard_normal((1, blocks))
            found = [common + np.sqrt(1 - shared) * rng.standard_normal((1, blocks)) for _ in range(tasks)]
            ends = [(float(one.mean()), mean_interval(one)) for one in found]
            groups.append([Estimate(mean, one.low, one.high) for mean, one in ends if one is not None])
        mean = mean_of_groups(groups)
        held += mean.low is not None and mean.high is not None and mean.low <= 0 <= mean.high
    return 100 * held / tries


def rejections(tries: int, seeds: int, blocks: int, parts: Iterable[float], seed: int = 0) -> float:
    """Percentage of pairs of equally good methods that are told apart at 5 %."""
    rng, parts, told = np.random.default_rng(seed), tuple(parts), 0
    for _ in range(tries):
        one, other = (scores(rng, seeds, blocks, parts) for _ in range(2))
        p = compare(one, other).p
        told += p is not None and p <= 0.05
    return 100 * told / tries


def mistakes(tries: int, methods: int, blocks: int, seed: int = 0) -> float:
    """Percentage of tables of equally good methods in which any pair is told apart."""
    rng, told = np.random.default_rng(seed), 0
    for _ in range(tries):
        level = rng.standard_normal((1, blocks))
        tests = compare_all([level + 0.3 * rng.standard_normal((1, blocks)) for _ in range(methods)])
        told += any(test.adjusted <= 0.05 for test in tests.values())
    return 100 * told / tries


def main() -> None:
    """Print the tables; cells are computed on all cores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tries", type=int, default=2000)
    tries = parser.parse_args().tries
    with ProcessPoolExecutor() as pool:
        held = {
            (blocks, seeds): [
                pool.submit(coverage, tries, seeds, blocks, p, draw) for draw in (normal, skewed) for p in PARTS
            ]
            for blocks in BLOCKS
            for seeds in SEEDS
        }
        pooled = {
            blocks: [pool.submit(pooled_coverage, tries, blocks, spread) for spread in (0.5, 1.0, 2.0)]
            for blocks in BLOCKS
        }
        told = {
            blocks: [pool.submit(rejections, tries, seeds, blocks, p) for seeds in (1, 3) for p in PARTS]
            for blocks in (6, 7, 8, 12, 27)
        }
        wrong = {blocks: pool.submit(mistakes, tries // 8, 12, blocks) for blocks in (8, 27)}
        print("Intervals that hold the truth (%)\n")
        print("blocks seeds   " + "".join(f"{name:>22}" for name in ("normal", "skewed")))
        print("               " + "".join(f"{' '.join(f'{p[1]:g}/{p[2]:g}' for p in PARTS):>22}" for _ in range(2)))
        for (blocks, seeds), cells in held.items():
            print(f"{blocks:6d} {seeds:5d}  ", "".join(f"{cell.result():8.1f}" for cell in cells), flush=True)
        print(
            "\nIntervals of PSNR around the value of the whole volume (%); standard deviation of blocks 0.5, 1, 2 dB\n"
        )
        for blocks, cells in pooled.items():
            print(f"{blocks:6d} blocks:", "".join(f"{cell.result():6.1f}" for cell in cells), flush=True)
        print(
            "\nTrue nulls that the paired test rejects at 5 % (%), by standard deviation of seeds/rest; blocks have 1\n"
        )
        for blocks, cells in told.items():
            print(f"{blocks:6d} blocks, 1 seed:", "".join(f"{cell.result():6.1f}" for cell in cells[:3]), end="  ")
            print("3 seeds:", "".join(f"{cell.result():6.1f}" for cell in cells[3:]), flush=True)
        print("\nTables of 12 equal methods (66 pairs) with any difference shown (%)\n")
        for blocks, cell in wrong.items():
            print(f"{blocks:6d} blocks: {cell.result():.1f}", flush=True)


if __name__ == "__main__":
    main()
