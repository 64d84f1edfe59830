"""Intervals and paired tests are compared with known truths, with formulas, and with scipy."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import vemrecon
from vemrecon.statistics import compare, compare_all, mean_interval, ranks
from vemrecon.statistics.paired import holm

sys.path.append(str(Path(vemrecon.__file__).parents[1] / "benchmark" / "studies"))
import intervals as study

TRIES = 1200
"""Shares of so many tries have a standard error of 0.6 %, which is why the limits below are two of these wider."""


@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("blocks", [4, 8, 27])
def test_intervals_hold_a_known_truth_in_93_to_97_percent(blocks: int, seeds: int):
    for parts in study.PARTS[:2]:
        assert 93 - 1.3 < study.coverage(TRIES, seeds, blocks, parts) < 97 + 1.3


@pytest.mark.parametrize("blocks", [4, 8, 27])
def test_intervals_of_psnr_may_be_moved_to_the_value_of_the_whole_volume(blocks: int):
    """It is no mean of the values of blocks, but that of their mean squared error."""
    assert 93 - 1.3 < study.pooled_coverage(TRIES, blocks, 1.0) < 97 + 1.3


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_intervals_of_means_over_tissues_are_never_too_narrow(shared: float):
    """Of tasks that have all in common they are right, of others rather too wide."""
    held = study.mean_coverage(TRIES, 2, 3, 8, shared)
    assert held > 93 - 1.3 and (shared < 1 or held < 97.5 + 1.3)


@pytest.mark.parametrize("blocks", [7, 8, 12])
def test_the_paired_test_at_5_percent_rejects_4_to_6_percent_of_true_nulls(blocks: int):
    assert 4 - 1.3 < study.rejections(TRIES, 1, blocks, study.PARTS[0]) < 6 + 1.3


def test_the_paired_test_does_not_take_luck_of_seeds_for_a_better_method():
    """Signs of blocks alone would reject 40 % of these nulls."""
    assert study.rejections(TRIES, 3, 8, study.PARTS[2]) < 6 + 1.3


def test_among_all_pairs_of_a_table_a_wrong_difference_is_shown_in_at_most_5_percent_of_tables():
    assert study.mistakes(500, 6, 8) < 5 + 2


def test_one_seed_and_many_blocks_give_the_interval_of_students_t():
    scores = np.random.default_rng(0).normal(25, 1, (1, 400))
    expected = stats.t.interval(0.95, 399, scores.mean(), stats.sem(scores[0]))
    found = mean_interval(scores)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(expected, abs=0.1 * stats.sem(scores[0]))
    assert (found.blocks, found.seeds) == (400, 1)


def test_the_standard_error_is_that_of_the_analysis_of_variance():
    """Mean squares by hand, for two seeds on three blocks."""
    from vemrecon.statistics.interval import spread_of

    scores = np.array([[1.0, 2.0, 6.0], [4.0, 6.0, 8.0]])
    by_block, by_seed, mean = [2.5, 4.0, 7.0], [3.0, 6.0], 4.5
    rest = sum((scores[s, b] - by_block[b] - by_seed[s] + mean) ** 2 for s in range(2) for b in range(3)) / 2
    of_blocks = 2 * sum((m - mean) ** 2 for m in by_block) / 2
    of_seeds = 3 * sum((m - mean) ** 2 for m in by_seed) / 1
    assert spread_of([scores], [1.0]).variance == pytest.approx((of_blocks + of_seeds - rest) / 6)


def test_a_skewed_population_has_an_interval_that_reaches_farther_to_its_long_side():
    scores = np.random.default_rng(1).gamma(1.0, 1.0, (1, 60))
    found = mean_interval(scores)
    assert found is not None and found.high - scores.mean() > 1.05 * (scores.mean() - found.low)


def test_fewer_than_four_blocks_have_no_interval_and_fewer_than_six_no_test():
    rng = np.random.default_rng(0)
    assert mean_interval(rng.random((3, 3))) is None
    assert mean_interval(rng.random((3, 4))) is not None
    assert compare(rng.random((1, 5)), 9 + rng.random((1, 5))).p is None
    assert compare(rng.random((1, 6)), 9 + rng.random((1, 6))).p == 2 / 2**6


def test_the_p_value_is_that_of_all_sign_flips():
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.4, 1, (1, 9)), rng.normal(0, 1, (1, 9))
    expected = stats.permutation_test(
        (one[0], other[0]), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert compare(one, other).p == pytest.approx(expected.pvalue)


def test_random_flips_of_many_blocks_come_close_to_the_t_test():
    rng = np.random.default_rng(4)
    one, other = rng.normal(0.25, 1, (1, 64)), rng.normal(0, 1, (1, 64))
    assert compare(one, other).p == pytest.approx(stats.ttest_rel(one[0], other[0]).pvalue, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(6, 10), st.floats(-50, 50), st.floats(0.01, 100))
def test_levels_and_units_change_no_p_value_and_move_intervals_along(seed, seeds, blocks, level, unit):
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, seeds, blocks))
    tissue = 10 * rng.standard_normal(blocks)
    plain, moved = compare(one, other), compare(unit * (one + tissue) + level, unit * (other + tissue) + level)
    turned = compare(other, one)
    assert moved.p == pytest.approx(plain.p, rel=1e-6) and turned.p == pytest.approx(plain.p, rel=1e-6)
    assert plain.interval and moved.interval
    assert moved.interval.low == pytest.approx(unit * plain.interval.low, rel=1e-6, abs=1e-6 * unit)


def test_equal_reconstructions_are_never_told_apart():
    one = np.random.default_rng(0).random((1, 12))
    assert compare(one, one.copy()).p == 1.0
    assert compare(one, one + 1e-15).p == 1.0
    assert compare(one, one + 0.01).p == 2 / 2**12, "a constant difference is as sure as one can be"


def test_ten_methods_can_be_told_apart_on_eight_blocks():
    """Holm's multiplication could not: 45 pairs times the smallest p value, 2 / 256, is above 5 %."""
    rng = np.random.default_rng(0)
    tissue = rng.standard_normal(8)
    methods = [(tissue + n + 0.02 * rng.standard_normal(8))[None] for n in range(10)]
    tests = compare_all(methods)
    assert set(tests) == set(combinations(range(10), 2))
    assert all(test.adjusted <= 0.05 for test in tests.values())
    assert [str(rank) for rank in ranks(range(10), tests)] == [str(n + 1) for n in range(10)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_corrected_p_values_are_never_smaller_and_ranks_hold_the_order(seed, methods):
    rng = np.random.default_rng(seed)
    tables = [rng.standard_normal((1, 8)) + rng.choice([0, 0, 3]) for _ in range(methods)]
    tests = compare_all(tables)
    assert all(0 < test.p <= test.adjusted <= 1 for test in tests.values())
    order = [-table.mean() for table in tables]
    for place, rank in enumerate(ranks(order, tests)):
        at = 1 + sum(other < order[place] for other in order)
        assert rank.best <= at <= rank.worst


def test_holm_is_that_of_his_paper():
    """S. Holm, Scand. J. Stat. 6, 1979: the k-th smallest of n p values times n - k + 1, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
