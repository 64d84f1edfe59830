"""The plot of spectra, from curves as runs keep them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from vemrecon.figure.layout import Style
from vemrecon.figure.spectrum import Spectra, draw_spectra, write_spectra
from vemrecon.report.spectra import directions_of

FREQUENCY = [0.01, 0.02, 0.03]


def curves(error: float, scale: float = 1.0) -> dict:
    """Power of 100 in every direction, twice that along x."""
    parts = {
        direction: {
            "frequency": FREQUENCY,
            "truth": [factor * 100.0] * 3,
            "reconstruction": [factor * 100.0 * scale] * 3,
            "error": [factor * error, factor * error, None],
        }
        for direction, factor in (("z", 1), ("y", 1), ("x", 2))
    }
    return {"power": {"all": parts}}


def spectra() -> Spectra:
    found = {"linear": curves(10.0), "ours": curves(1.0, 0.5), "old": {}}
    return Spectra.of(found, directions_of("z"), limit=0.0125)


def test_axial_power_is_beside_the_mean_of_the_lateral_ones():
    figure = draw_spectra(spectra(), Style())

    charts = {axes.get_title(): {line.get_label(): line for line in axes.lines} for axes in figure.axes}
    assert list(charts) == [
        "Power, axial (z)",
        "Power, lateral (y, x)",
        "Power of the error, axial (z)",
        "Power of the error, lateral (y, x)",
    ]
    assert charts["Power, axial (z)"]["truth"].get_ydata() == pytest.approx([20.0] * 3)
    assert charts["Power, lateral (y, x)"]["truth"].get_ydata() == pytest.approx([10 * math.log10(150)] * 3)
    ours = charts["Power of the error, axial (z)"]["ours"].get_ydata()
    assert ours[:2] == pytest.approx([0.0, 0.0])
    assert math.isnan(ours[2]), "a shell without power interrupts the line"


def test_what_has_no_spectrum_is_left_out_and_colours_stay():
    found = spectra()

    assert found.labels == ("linear", "ours")
    assert [row.index for row in found.charts["axial (z)"]] == [0, 1]


def test_the_limit_of_the_observed_volume_is_axial_alone():
    figure = draw_spectra(spectra(), Style())

    marked = [axes.get_title() for axes in figure.axes if any("limit" in line.get_label() for line in axes.lines)]

    assert marked == ["Power, axial (z)", "Power of the error, axial (z)"]


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_the_same_spectra_give_the_same_bytes(suffix, tmp_path: Path):
    for name in ("a", "b"):
        write_spectra(tmp_path / f"{name}.{suffix}", spectra(), Style(dpi=60))

    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second
