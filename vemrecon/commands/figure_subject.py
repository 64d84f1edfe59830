"""What the command `figure` shows: finished runs, or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vemrecon.commands.figure_options import FigureOptions
from vemrecon.commands.options import require_runs
from vemrecon.commands.pairs import say_notes
from vemrecon.errors import ConfigError
from vemrecon.figure.from_files import Ranges, from_files
from vemrecon.figure.from_runs import from_runs
from vemrecon.figure.subject import Subject
from vemrecon.file_options import OBSERVED_RANGE, RECONSTRUCTION_RANGE, read_range_words
from vemrecon.options import flag


def check_source(options: FigureOptions) -> None:
    """Refuse options that belong to runs beside those that belong to files, and of pictures where a plot is wanted.

    Raises:
        ConfigError: If there is one.
    """
    of_runs = [name for name in ("task", "methods", "segmentation") if getattr(options, name)]
    ranges = ("intensity_range", "reconstruction_range", "observed_range")
    of_files = ("truth", "observed", "grid", "voxel_size", *ranges, "channel", "time", "axes")
    pictures = ("planes", "at", "size", "errors", "uncertainty", "segmentation", "scale_bar")
    shown = [name for name in pictures if getattr(options, name) not in (None, (), False)]
    if options.spectrum and (shown or options.columns != "planes"):
        raise ConfigError(f"{flag([*shown, 'columns'][0])} belongs to pictures; give it without --spectrum")
    if options.uncertainty and not options.volumes:
        raise ConfigError("--uncertainty: files belong to --volumes; of runs what they have kept is shown")
    if options.volumes and options.uncertainty == ():
        raise ConfigError("--uncertainty: name a file for each of --volumes, none where there is none")
    of_files_given = [name for name in of_files if getattr(options, name) is not None]
    if options.volumes and of_runs:
        raise ConfigError(f"--{of_runs[0]} belongs to runs; give it without --volumes")
    if of_files_given and not options.volumes:
        raise ConfigError(f"{flag(of_files_given[0])} belongs to files; name them with --volumes")


def subject_of(options: FigureOptions) -> Subject:
    """The volumes that are asked for."""
    if options.volumes:
        subject = from_files(
            options.volumes,
            truth=options.truth,
            observed=options.observed,
            grid=options.grid,
            voxel_size=options.voxels,
            ranges=Ranges(
                options.grey_range,
                read_range_words(RECONSTRUCTION_RANGE, options.reconstruction_range),
                read_range_words(OBSERVED_RANGE, options.observed_range),
            ),
            reading=options.reading,
            uncertainty=options.uncertainty or (),
        )
        say_notes(subject.volumes)
        return subject
    require_runs(options.runs)
    return from_runs(options.runs, options.task, options.methods, options.segmentation, options.uncertainty is not None)


def labelled(subject: Subject, labels: Sequence[str]) -> Subject:
    """The reconstructions under other names, in their order, if there are any."""
    if not labels:
        return subject
    names = names_of([entry.label for entry in subject.entries], labels)
    pairs = zip(subject.entries, names, strict=True)
    return replace(subject, entries=tuple(replace(entry, label=label) for entry, label in pairs))


def names_of(names: Sequence[str], labels: Sequence[str]) -> Sequence[str]:
    """How reconstructions are called: as `--labels` says, else by their names.

    Raises:
        ConfigError: If labels are given of more or fewer.
    """
    if labels and len(labels) != len(names):
        raise ConfigError(f"--labels: {len(labels)} given for {len(names)} reconstructions ({', '.join(names)})")
    return labels or names
