"""Grey levels are those of the definition, however they are computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vemrecon.volume import quantise

SPANS = [None, (0.0, 200.0), (17.0, 230.5), (0.0, 1.0)]


def defined(values, dtype, span):
    """One array, step by step in float64."""
    kind = np.dtype(dtype)
    info = np.iinfo(kind) if kind.kind in "iu" else None
    low, high = span or ((info.min, info.max) if info else (0, 1))
    grey = np.minimum(np.maximum(values.astype(np.float64), 0), 1) * (high - low) + low
    if info is None:
        return grey.astype(dtype)
    return np.rint(np.round(grey, 3) if high - low <= 255 else grey).astype(dtype)


def around_ties(span):
    """Every float32 within 300 of where a grey level ends, or where its ties begin to count as such."""
    low, high = span or (0.0, 255.0)
    levels = np.arange(np.ceil(low), high)
    edges = [((levels + 0.5 + by - low) / (high - low)).astype(np.float32) for by in (-5e-4, 0, 5e-4, -6e-4, 6e-4)]
    bits = np.concatenate(edges).view(np.int32)[:, None] + np.arange(-300, 301, dtype=np.int32)
    return np.ascontiguousarray(bits).view(np.float32)


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_levels_around_ties_are_those_of_the_definition(dtype, span):
    values = around_ties(span)
    assert np.array_equal(quantise(values, np.dtype(dtype), span), defined(values, dtype, span))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(3, 300, 301), (70001,), (5, 7), (2, 3, 5), (0, 4, 4)])
def test_any_shape_and_layout_gives_the_same_levels(shape, dtype):
    values = np.random.default_rng(0).normal(0.5, 0.4, shape).astype(np.float32)
    for one in (values, values[..., ::2], values.T, np.asfortranarray(values)):
        assert np.array_equal(quantise(one, np.dtype(dtype)), defined(one, dtype, None))


@given(arrays.arrays(np.float32, (4, 9), elements=st.floats(width=32, allow_nan=False)), st.sampled_from(SPANS))
def test_anything_but_nan_is_clipped_and_rounded(values, span):
    assert np.array_equal(quantise(values, np.dtype(np.uint8), span), defined(values, "uint8", span))


def test_infinite_values_are_black_and_white():
    values = np.array([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, np.inf], np.float32)
    assert quantise(values, np.dtype(np.uint8)).tolist() == [0, 0, 0, 0, 128, 255, 255, 255]
    stored = quantise(values, np.dtype(np.float32))
    assert stored.tolist() == [0, 0, 0, 0, 0.5, 1, 1, 1] and not np.signbit(stored).any()


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_nan_stays_nan_in_floats_and_disturbs_no_other_voxel():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 16).copy()
    wanted = quantise(values, np.dtype(np.uint8))
    values[2, 3] = np.nan
    found = quantise(values, np.dtype(np.uint8))
    others = np.arange(64).reshape(4, 16) != 2 * 16 + 3
    assert np.array_equal(found[others], wanted[others])
    assert np.isnan(quantise(values, np.dtype(np.float32))[2, 3])


def test_voxels_in_float64_are_not_taken_for_float32():
    values = np.random.default_rng(1).random((4, 40, 40))
    assert np.array_equal(quantise(values, np.dtype(np.uint8)), defined(values, "uint8", None))
