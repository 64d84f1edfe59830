"""Where the volumes of a figure come from: finished runs of a task, or files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vemrecon.commands.figure_options import FigureOptions
from vemrecon.errors import ConfigError, DataError, unknown
from vemrecon.report.cuts import Observed
from vemrecon.report.outlines import Outline, outlines_of
from vemrecon.report.overlay import Masks, file_of, load_masks
from vemrecon.report.pictures import PLANES
from vemrecon.report.plate import Entry
from vemrecon.volume import RangeRule, Region, SectionGrid, Volume, VoxelSize, open_volume

if TYPE_CHECKING:
    from vemrecon.report.leaderboard import Table
    from vemrecon.report.row import Row


@dataclass(frozen=True)
class Subject:
    """All volumes that a figure can show."""

    truth: Volume | None
    observed: Observed | None
    entries: tuple[Entry, ...]
    planes: tuple[str, ...] = tuple(PLANES)
    """That are worth showing; others can be asked for."""
    outlines: Mapping[str, Outline] = field(default_factory=dict)
    """What a segmenter found in the truth, by plane."""
    outlined: tuple[int, int, int] | None = None
    """Voxel that all planes with outlines go through."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the truth, z-y-x."""
        return self.entries[0].volume.shape

    @property
    def voxel_size(self) -> VoxelSize:
        """Of the truth.

        Raises:
            DataError: If no file says it.
        """
        known = [volume for volume in (self.truth, *(e.volume for e in self.entries)) if volume is not None]
        return next((volume for volume in known if volume.voxel_size), known[0]).require_voxel_size()


def from_runs(runs: Path, task: str | None, methods: Sequence[str] | None, segmentation: str | None = None) -> Subject:
    """Volumes of the finished runs of a task, the first seed of each; with outlines of what was found in them if asked.

    Raises:
        ConfigError: If there are several tasks and none is named, or a name is unknown.
        DataError: If there is no finished run, or its data are gone.
    """
    from vemrecon.bench.job import Job
    from vemrecon.bench.phases import RECONSTRUCTION, reconstruction
    from vemrecon.bench.scene import observe, task_degradation
    from vemrecon.bench.store import RunFolder
    from vemrecon.report.viewer import quality

    table = _table(runs, task)
    rows = _rows(table, methods)
    folders = [RunFolder.open(row.runs[0][0]) for row in rows]
    for row, folder in zip(rows, folders, strict=True):
        if not (folder.path / RECONSTRUCTION).exists():
            raise DataError(f"{folder.path / RECONSTRUCTION}: no such folder; leave {row.label} out with --methods")
    first = folders[0]
    scene, degradation = observe(first, Job.read(first.path / "job.json")), task_degradation(first)
    entries = [
        Entry(row.label, reconstruction(folder, scene), {plane: quality(table, row, plane) for plane in PLANES})
        for row, folder in zip(rows, folders, strict=True)
    ]
    observed = Observed(scene.observed, scene.axis, degradation.scale, degradation.grid.first)
    planes = ("xy",) if first.spec.task.kind == "lateral" else tuple(PLANES)  # what is scored
    subject = Subject(scene.truth, observed, tuple(entries), planes)
    return _outlined(subject, [folder.path for folder in folders], segmentation) if segmentation else subject


def _outlined(subject: Subject, folders: Sequence[Path], what: str) -> Subject:
    """The same with outlines of what the segmenter of a metric `segmentation` found.

    Raises:
        DataError: If a run has not kept it, or keeps other places than the first one.
    """
    found: list[Masks] = []
    for entry, folder in zip(subject.entries, folders, strict=True):
        path = file_of(folder, what)
        if path is None:
            raise DataError(
                f"{folder / f'segmentation-{what}.npz'}: no such file; it is made with --metrics segmentation. "
                f"Leave {entry.label} out with --methods"
            )
        masks = load_masks(path)
        if found and masks.middle != found[0].middle:
            raise DataError(f"{path}: goes through {masks.middle} (z, y, x), that of others through {found[0].middle}")
        found.append(masks)
    size = subject.voxel_size
    entries = tuple(
        replace(entry, outlines=outlines_of(masks, "found", size))
        for entry, masks in zip(subject.entries, found, strict=True)
    )
    return replace(subject, entries=entries, outlines=outlines_of(found[0], "truth", size), outlined=found[0].middle)


def _table(runs: Path, task: str | None) -> Table:
    """The runs of one task: that of the folder `task`, or the only one."""
    from vemrecon.report.leaderboard import build
    from vemrecon.report.load import load_results

    tables: dict[str, Table] = {}
    for table in build(load_results(runs)).tables:
        if table.done:
            name = table.done[0].runs[0][0].parent.name
            copies = sum(known == name or known.startswith(f"{name}#") for known in tables)
            tables[f"{name}#{copies + 1}" if copies else name] = table  # same words, other data
    if not tables:
        raise DataError(f"{runs}: no finished runs; `vemrecon status --runs {runs}` lists what there is")
    if task is not None and task not in tables:
        raise unknown("task", task, tables)
    if task is None and len(tables) > 1:
        raise ConfigError(f"{runs} holds {len(tables)} tasks; choose one with --task: {', '.join(tables)}")
    return tables[task] if task is not None else next(iter(tables.values()))


def _rows(table: Table, methods: Sequence[str] | None) -> list[Row]:
    """Finished rows in the order of the table, or those that are named: a label, or a method with all its variants."""
    if not methods:
        return list(table.done)
    found: list[Row] = []
    for name in methods:
        same = [row for row in table.rows if name in (row.label, row.method)]
        done = [row for row in same if row.status == "done"]
        if same and not done:
            raise DataError(f"{name}: not finished but {same[0].status} ({same[0].reason or 'no reason recorded'})")
        if not same:
            raise unknown("method", name, {row.label for row in table.done})
        found += [row for row in done if row not in found]
    return found


def from_files(options: FigureOptions) -> Subject:
    """Volumes that were made anywhere: --volumes, and if they are there --truth and --observed.

    Raises:
        DataError: If a file cannot be read, or the volumes do not cover the same voxels.
    """
    size, span, reading = options.voxels, options.grey_range, options.reading
    made = [
        replace(open_volume(path, intensity_range=span, reading=reading), name=str(path)) for path in options.volumes
    ]
    truth = observed = None
    known = size or next((volume.voxel_size for volume in made if volume.voxel_size), None)
    if options.truth is not None:
        truth = open_volume(options.truth, voxel_size=size, intensity_range=span, reading=reading)
        known = truth.voxel_size or known
    if options.observed is not None:
        observed = _observed(options.observed, options.grid, span, made[0].shape)
    if truth is not None:
        truth = _cut_to(replace(truth, name=str(options.truth)), made[0].shape, observed)
    labels = [path.name.partition(".")[0] for path in options.volumes]
    entries = [Entry(label, replace(volume, voxel_size=known)) for label, volume in zip(labels, made, strict=True)]
    return Subject(truth, observed, tuple(entries))


def _observed(
    path: Path, kind: str | None, span: tuple[float, float] | RangeRule | None, shape: tuple[int, int, int]
) -> Observed:
    """The observed volume of reconstructions of a shape; the axis that is shorter is the coarse one.

    Raises:
        DataError: If there is no such axis, or more than one, or the file says that more or less sections were made.
    """
    volume = replace(open_volume(path, intensity_range=span), name=str(path))
    shorter = [n for n, (own, other) in enumerate(zip(volume.shape, shape, strict=True)) if own != other]
    if len(shorter) != 1 or volume.shape[shorter[0]] > shape[shorter[0]]:
        raise DataError(
            f"{volume.name}: shape {volume.shape} (z, y, x) does not become {shape} along one axis; "
            f"--observed takes what the --volumes were made from"
        )
    axis = shorter[0]
    scale = shape[axis] / volume.shape[axis]
    grid = open_volume(path, scale=scale).grid if kind is None else SectionGrid.of_kind(kind, scale)
    if grid is None:
        grid = SectionGrid.slabs(scale)
    if grid.extent(volume.shape[axis]) != shape[axis]:
        raise DataError(
            f"{volume.name}: {grid}, but the first of --volumes has {scale:g} for each; if the file is wrong, say "
            f"--grid centred or --grid aligned"
        )
    return Observed(replace(volume, grid=grid), axis, grid.scale, grid.first)


def _cut_to(truth: Volume, shape: tuple[int, int, int], observed: Observed | None) -> Volume:
    """The truth without the sections at its end that are no whole slab, which no reconstruction has.

    Raises:
        DataError: If it differs in more than that.
    """
    slack = [0, 0, 0]
    if observed is not None:
        slack[observed.axis] = math.ceil(observed.scale) - 1
    if any(not 0 <= a - b <= s for a, b, s in zip(truth.shape, shape, slack, strict=True)):
        raise DataError(
            f"{truth.name}: shape {truth.shape} (z, y, x), but the first of --volumes has {shape}; "
            f"they must cover the same voxels"
        )
    return truth.crop(Region.whole(shape))
