"""The subject of a figure from finished runs of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vemrecon.errors import ConfigError, DataError, unknown
from vemrecon.figure.cuts import Observed
from vemrecon.figure.outlines import outlines_of
from vemrecon.figure.plate import Entry
from vemrecon.figure.subject import Subject
from vemrecon.report.overlay import Masks, file_of, load_masks
from vemrecon.volume import open_volume
from vemrecon.volume.planes import PLANE_AXES

if TYPE_CHECKING:
    from vemrecon.report.leaderboard import Table
    from vemrecon.report.row import Row


def from_runs(
    runs: Path,
    task: str | None,
    methods: Sequence[str] | None,
    segmentation: str | None = None,
    uncertainty: bool = False,
) -> Subject:
    """Volumes of the finished runs of a task, the first seed of each.

    Args:
        runs: Folder of runs.
        task: Folder of the task, where there are several.
        methods: Names of methods or rows; all that have finished where there are none.
        segmentation: What is outlined that a segmenter found in them.
        uncertainty: Whether that of those runs is shown that have kept one.

    Raises:
        ConfigError: If there are several tasks and none is named, or a name is unknown.
        DataError: If there is no finished run, or its data are gone, or none has what is asked for.
    """
    from vemrecon.bench.job import Job
    from vemrecon.bench.phases import RECONSTRUCTION, UNCERTAINTY, reconstruction
    from vemrecon.bench.store import RunFolder
    from vemrecon.bench.task_volumes import observe
    from vemrecon.report.viewer import quality

    table = task_table(runs, task)
    rows = rows_of(table, methods)
    folders = [RunFolder.open(row.runs[0][0]) for row in rows]
    for row, folder in zip(rows, folders, strict=True):
        if not (folder.path / RECONSTRUCTION).exists():
            raise DataError(f"{folder.path / RECONSTRUCTION}: no such folder; leave {row.label} out with --methods")
    first = folders[0]
    volumes = observe(first, Job.read(first.path / "job.json"))
    entries = [
        Entry(row.label, reconstruction(folder, volumes), {plane: quality(table, row, plane) for plane in PLANE_AXES})
        for row, folder in zip(rows, folders, strict=True)
    ]
    if uncertainty:
        kept = [folder.path / UNCERTAINTY for folder in folders]
        if not any(path.exists() for path in kept):
            raise DataError(
                f"--uncertainty: no run in {first.path.parent} has kept one; bench keeps it with "
                f"--metrics uncertainty, of methods that average over rotations or samples"
            )
        entries = [
            replace(entry, uncertainty=open_volume(path) if path.exists() else None)
            for entry, path in zip(entries, kept, strict=True)
        ]
    observed = Observed(volumes.observed, volumes.axis)
    planes = ("xy",) if first.spec.task.kind == "lateral" else tuple(PLANE_AXES)  # what is scored
    subject = Subject(volumes.truth, observed, tuple(entries), planes)
    return with_outlines(subject, [folder.path for folder in folders], segmentation) if segmentation else subject


def with_outlines(subject: Subject, folders: Sequence[Path], what: str) -> Subject:
    """The same with outlines of what the segmenter of a metric `segmentation` found.

    Raises:
        DataError: If a run has not kept it, or keeps other places than the first one.
    """
    found: list[Masks] = []
    for entry, folder in zip(subject.entries, folders, strict=True):
        path = file_of(folder, what)
        if path is None:
            raise DataError(
                f"{folder}: no such file of '{what}'; it is made with --metrics segmentation. "
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


def task_table(runs: Path, task: str | None) -> Table:
    """The runs of one task: that of the folder `task`, or the only one.

    Raises:
        ConfigError: If there are several tasks and none is named, or the name is unknown.
        DataError: If there is no finished run.
    """
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


def rows_of(table: Table, methods: Sequence[str] | None) -> list[Row]:
    """Finished rows in the order of the table, or those that are named: a label, or a method with all its variants.

    Raises:
        ConfigError: If a name is unknown.
        DataError: If one has not finished.
    """
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
