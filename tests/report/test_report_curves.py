from __future__ import annotations

import re

import pytest

from vemrecon.report.curves import Curve, Curves, curves_of, curves_svg
from vemrecon.report.frame import DASHES, MARKERS, Frame, ticks


def test_the_lateral_curve_is_the_mean_of_both_lateral_directions():
    frequency = [0.01, 0.02, 0.03]
    values = {"z": [0.9, 0.1, None], "y": [1.0, 0.8, None], "x": [0.8, 0.4, 0.2]}
    curves = {"fsc": {"all": {d: {"frequency": frequency, "value": v} for d, v in values.items()}}}

    axial, lateral = curves_of(curves, "z")

    assert axial == Curve((0.01, 0.02, 0.03), (0.9, 0.1, None))
    assert lateral is not None
    assert lateral.value == pytest.approx((0.9, 0.6, None))


@pytest.mark.parametrize("content", [{}, {"fsc": {}}, {"fsc": None}, {"fsc": {"all": {"z": 3}}}])
def test_runs_without_curves_are_no_error(content):
    assert curves_of(content, "z") == (None, None)


def test_a_path_is_interrupted_where_a_shell_has_no_value():
    frame = Frame((0, 1), (0, 1))

    path = frame.path([0, 0.25, 0.5, 0.75, 1], [None, 0.5, None, 0.25, 0.0])

    assert re.sub(r"[^ML]", "", path) == "MML"


def test_a_chart_names_its_methods_and_escapes_them():
    curve = Curve((0.01, 0.02), (0.9, 0.1))

    svg = curves_svg([Curves("<a>", 0, curve, None)], "axial", "Axial (z)", 160.0, "Fourier shell correlation")

    assert "&lt;a&gt;" in svg
    assert "<a>" not in svg
    assert 'class="threshold"' in svg
    assert 'class="limit"' in svg
    assert curves_svg([Curves("a", 0, None, None)], "axial", "Axial (z)", None, "Fourier shell correlation") == ""


def test_neighbouring_methods_differ_without_colour():
    styles = [(DASHES[n % len(DASHES)], MARKERS[n % len(MARKERS)]) for n in range(6)]

    assert len(set(styles)) == 6


def test_ticks_are_round_and_inside():
    for low, high in ((0, 0.05), (23.1, 36.4), (0.7, 0.71), (-3, 1200)):
        found = ticks(low, high)
        assert 3 <= len(found) <= 9
        assert low - 1e-9 <= found[0] <= found[-1] <= high + 1e-9
