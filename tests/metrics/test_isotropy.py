"""Axial continuity and layering against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics.metric_volumes import ODD, GreyVolume, noisy, textured

from vemrecon.metrics.isotropy import AxialContinuity, layer_contrast, periodic_error_fraction
from vemrecon.metrics.tiles import tiles
from vemrecon.volume.region import Region, Triple


@settings(max_examples=10, deadline=None)
@given(size=st.tuples(*[st.integers(2, 30)] * 3), axis=st.integers(0, 2))
def test_continuity_equals_the_formulas_for_any_cut_and_axis(size: Triple, axis: int) -> None:
    a = textured(ODD)
    b = noisy(a)
    scope = Region((1, 4, 2), (16, 33, 29))
    metric = AxialContinuity([scope], axis)
    for tile in tiles(GreyVolume(a), GreyVolume(b), Region.whole(ODD), 1, size=size):
        metric.update(tile)
    found = metric.compute()[0]
    p, q = (v[scope.slices].astype(float) for v in (a, b))
    others = tuple(k for k in range(3) if k != axis)
    assert found["error"].numpy() == pytest.approx((q - p).mean(axis=others), abs=1e-12)
    assert found["mae"].numpy() == pytest.approx(np.abs(q - p).mean(axis=others), abs=1e-12)
    for k, volume in enumerate((p, q)):
        assert found["steps"][k, 1:].numpy() == pytest.approx(np.abs(np.diff(volume, axis=axis)).mean(axis=others))
        changes = [np.abs(np.diff(volume, axis=n)).mean() for n in range(3)]
        assert found["change"][k].numpy() == pytest.approx(changes, abs=1e-12)


def test_layer_contrast_sees_steps_between_blocks_wherever_the_range_starts() -> None:
    steps = np.abs(np.diff(np.arange(24) // 4 * 10.0, prepend=0))
    assert layer_contrast(steps, 0, 4) == 1
    assert layer_contrast(steps[2:], 2, 4) == 1
    assert layer_contrast(np.ones(24), 0, 4) == 0
    assert layer_contrast(np.zeros(24), 0, 4) is None
    assert layer_contrast(steps, 0, 0) is None


def test_periodic_error_is_one_on_the_section_grid_and_small_for_noise() -> None:
    assert periodic_error_fraction(np.tile([0.0, 2, 3, 2], 20), 4) == pytest.approx(1)
    noise = np.random.default_rng(0).normal(5, 1, 400)
    fraction = periodic_error_fraction(noise, 4)
    assert fraction is not None
    assert fraction < 0.1
    assert periodic_error_fraction(np.full(40, 3.3), 4) is None
    assert periodic_error_fraction(noise, 0) is None
