"""The plot of `figure --spectrum`: what finished runs have kept, or what is computed of files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vemrecon.commands.figure_options import FigureOptions
from vemrecon.commands.figure_subject import names_of, subject_of
from vemrecon.commands.options import require_runs
from vemrecon.errors import ConfigError, DataError
from vemrecon.figure.drawing import require_matplotlib
from vemrecon.figure.from_runs import rows_of, task_table
from vemrecon.figure.layout import Style
from vemrecon.figure.spectrum import Spectra, write_spectra
from vemrecon.report.leaderboard import MAIN_RANGE
from vemrecon.report.spectra import directions_of
from vemrecon.volume.planes import AXES


def plot_spectrum(options: FigureOptions) -> int:
    """Write the plot, and say what it shows."""
    require_matplotlib()
    spectra = _of_files(options) if options.volumes else _of_runs(options)
    write_spectra(options.output, spectra, Style(options.width, options.dpi))
    facts = [f"power of truth, {', '.join(spectra.labels)}, and of their errors", " and ".join(spectra.charts)]
    facts += [
        f"dotted: Nyquist limit of the observed sections, {1 / limit:.4g} nm" for limit in spectra.limits.values()
    ]
    print(f"{options.output}: {'; '.join(facts)}")
    return 0


def _of_runs(options: FigureOptions) -> Spectra:
    """What runs have kept of their spectra; names those that have kept none.

    Raises:
        DataError: If none has.
    """
    require_runs(options.runs)
    table = task_table(options.runs, options.task)
    rows = rows_of(table, options.methods)
    names = names_of([row.label for row in rows], options.labels)
    curves = {name: row.kept.curves for name, row in zip(names, rows, strict=True)}
    size, task = table.voxel_size, table.task
    limit = None if size is None else 0.5 / (task.scale * size[AXES.index(task.axis)])
    spectra = Spectra.of(curves, directions_of(task.axis, task.kind), limit)
    missing = [name for name in names if name not in spectra.labels]
    if len(missing) == len(names):
        raise DataError(
            "--spectrum: no run has kept spectra of truth and reconstruction; bench keeps them with --metrics fsc"
        )
    if missing:
        print(f"left out, as they have kept no spectra: {', '.join(missing)}", file=sys.stderr)
    return spectra


def _of_files(options: FigureOptions) -> Spectra:
    """Spectra of whole volumes.

    Raises:
        ConfigError: If there is no truth.
        DataError: If a volume cannot be read, or is too short to have a spectrum.
    """
    from vemrecon.metrics.evaluate import evaluate
    from vemrecon.volume import Region

    if options.truth is None:
        raise ConfigError("--spectrum: power and error are compared with a truth; give --truth")
    subject = subject_of(options)
    assert subject.truth is not None
    axis = subject.observed.axis if subject.observed else 0
    names = names_of([entry.label for entry in subject.entries], options.labels)
    truth = replace(subject.truth, voxel_size=subject.voxel_size)
    curves: dict[str, Mapping[str, Any]] = {}
    for name, entry in zip(names, subject.entries, strict=True):
        whole = {MAIN_RANGE: Region.whole(truth.shape)}
        curves[name] = evaluate(truth, entry.volume, metrics=["fsc"], axis=axis, ranges=whole).curves
    edge = list(subject.voxel_size)[axis]
    limit = 0.5 / (subject.observed.grid.scale * edge) if subject.observed else None
    spectra = Spectra.of(curves, directions_of(AXES[axis]), limit)
    if missing := [name for name in names if name not in spectra.labels]:
        raise DataError(
            f"--spectrum: {', '.join(missing)}: no spectrum, as a side is too short or all voxels are alike"
        )
    return spectra
