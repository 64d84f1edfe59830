"""Axial continuity and layering against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics.metric_volumes import ODD, GreyVolume, noisy, textured, tiles
from scipy.signal import windows

from vemrecon.metrics.isotropy import AxialContinuity, layer_contrast, periodic_error_fraction
from vemrecon.metrics.native import isotropy_scores
from vemrecon.volume import SectionGrid
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


def test_scores_without_truth_equal_the_formulas() -> None:
    volume = textured((24, 26, 28))
    volume[::4] = volume[1::4]  # steps at the borders of the sections
    values = volume.astype(float)
    changes = [np.abs(np.diff(values, axis=axis)).mean() for axis in range(3)]
    steps = np.abs(np.diff(values, axis=0)).mean(axis=(1, 2))
    at_border = np.arange(1, 24) % 4 == 0
    border, inside = steps[at_border].mean(), steps[~at_border].mean()
    taper = [windows.hann(n, sym=True) for n in volume.shape]
    power = np.abs(np.fft.fftn((values - values.mean()) * np.einsum("i,j,k->ijk", *taper))) ** 2
    axes = np.meshgrid(*(np.fft.fftfreq(n, 8) for n in volume.shape), indexing="ij")
    radius = np.sqrt(sum(f**2 for f in axes))
    band = (radius >= 0.25 / 16) & (radius <= 0.75 / 16)
    with np.errstate(invalid="ignore"):
        z, y, x = (power[band & (np.abs(f) >= radius * np.cos(np.deg2rad(20)))].mean() for f in axes)
    found = {row.variant: row.value for row in isotropy_scores(GreyVolume(volume), SectionGrid.slabs(4))}
    assert found == {
        "continuity": pytest.approx(2 * changes[0] / (changes[1] + changes[2]), abs=1e-12),
        "layer_contrast": pytest.approx((border - inside) / (border + inside), abs=1e-12),
        "power": pytest.approx(np.log10(2 * z / (y + x)), abs=1e-9),
    }


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
