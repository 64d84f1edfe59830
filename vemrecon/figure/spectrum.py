"""`write_spectra`: spectral power as a plot for a paper, PNG or PDF, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.figure.drawing import write_drawn
from vemrecon.figure.layout import INCH, SMALL, TEXT, WIDEST_MM, Style
from vemrecon.report.spectra import FAINTEST, TITLES, Spectrum, spectrum_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart without colour vision (Okabe and Ito 2008)."""
DASHES = ("-", "--", ":", "-.")
TALL = 2.1  # inches of a chart


@dataclass(frozen=True)
class Spectra:
    """Power of the same truth and of its reconstructions."""

    charts: Mapping[str, tuple[Spectrum, ...]]
    """Reconstructions by direction, in words; every direction has the same ones."""
    labels: tuple[str, ...]
    """Of the reconstructions."""
    limits: Mapping[str, float]
    """Nyquist limit of the observed sections in 1/nm, by direction, where it is known."""

    @classmethod
    def of(
        cls, curves: Mapping[str, Mapping[str, Any]], directions: Mapping[str, Sequence[str]], limit: float | None
    ) -> Spectra:
        """Those of curves by the label of a reconstruction; what has no power in one of the directions is left out.

        Args:
            curves: As `Evaluation.curves`.
            directions: By what they are called, the degraded one first.
            limit: Nyquist limit of the observed sections along the degraded direction, in 1/nm.
        """
        found = {
            label: {words: spectrum_of(curve, along, label, n) for words, along in directions.items()}
            for n, (label, curve) in enumerate(curves.items())
        }
        whole = {
            label: {words: one for words, one in spectra.items() if one is not None}
            for label, spectra in found.items()
            if all(spectra.values())
        }
        charts = {words: tuple(spectra[words] for spectra in whole.values()) for words in directions}
        return cls(charts, tuple(whole), {} if limit is None else {next(iter(directions)): limit})


def write_spectra(path: Path, spectra: Spectra, style: Style) -> None:
    """Plot power of truth and reconstruction, and of truth and error, against frequency; one column per direction.

    Raises:
        ConfigError: If the name ends in neither .png nor .pdf, or matplotlib is missing.
        OutputError: If the file cannot be written.
    """
    write_drawn(path, lambda: draw_spectra(spectra, style), style.dpi)


def draw_spectra(spectra: Spectra, style: Style) -> Figure:
    """The figure; both charts of a row share their decibels, so that axial and lateral power compare."""
    from matplotlib.figure import Figure

    wide = (style.width_mm or WIDEST_MM) / INCH
    columns = max(1, int(wide / 1.8))
    legend = -(-(len(spectra.labels) + 1 + bool(spectra.limits)) // columns)
    figure = Figure(figsize=(wide, TALL * len(TITLES) + 0.2 * legend + 0.1), layout="constrained")
    grid = figure.subplots(len(TITLES), len(spectra.charts), sharey="row", sharex="col", squeeze=False)
    for line, (part, title) in zip(grid, TITLES.items(), strict=True):
        for axes, (words, rows) in zip(line, spectra.charts.items(), strict=True):
            _chart(axes, rows, part, spectra.limits.get(words))
            axes.set_title(f"{title}, {words}", fontsize=TEXT)
        line[0].set_ylabel("power (dB of grey levels²)", fontsize=TEXT)
        line[0].set_ylim(*_span([one for rows in spectra.charts.values() for one in rows], part))
    for axes in grid[-1]:
        axes.set_xlabel("spatial frequency (1/nm)", fontsize=TEXT)
    lines, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
    return figure


def _chart(axes: Axes, rows: Sequence[Spectrum], part: str, limit: float | None) -> None:
    """Truth as a broad grey line, below all others; values that are not there interrupt a line."""
    truth = rows[0]
    axes.plot(truth.frequency, _values(truth.truth), color="0.75", linewidth=3.5, label="truth")
    for row in rows:
        axes.plot(
            row.frequency,
            _values(getattr(row, part)),
            color=COLOURS[row.index % len(COLOURS)],
            linestyle=DASHES[row.index % len(DASHES)],
            linewidth=0.9,
            label=row.label,
        )
    if limit is not None:
        axes.axvline(
            limit, color="0.3", linewidth=0.6, linestyle=(0, (1, 2)), label="Nyquist limit of the observed sections"
        )
    axes.set_xlim(0, truth.frequency[-1])
    axes.tick_params(labelsize=SMALL, width=0.4, length=2)
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)


def _values(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _span(rows: Sequence[Spectrum], part: str) -> tuple[float, float]:
    """Decibels that a row of charts shows."""
    truth = [value for row in rows for value in row.truth if value is not None]
    made = [value for row in rows for value in getattr(row, part) if value is not None]
    return min(truth) - FAINTEST, max([*truth, *made]) + 2
