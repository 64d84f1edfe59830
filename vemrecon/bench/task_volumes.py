"""`TaskVolumes`: what a run looks at. Truth and observed volume of each kind of task, and what may be learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.job import Job
from vemrecon.bench.store import RunFolder
from vemrecon.data.source import Source
from vemrecon.data.volume_at import VolumeAt
from vemrecon.degradations import Degradation, degrade, make_degradation, trimmed
from vemrecon.kept import intact_or_aside, remember
from vemrecon.locks import exclusive
from vemrecon.seeding import derive_seed
from vemrecon.volume import Region, Volume, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr


@dataclass(frozen=True)
class TaskVolumes:
    """Volumes of a task, all in z, y, x order."""

    observed: Volume
    truth: Volume | None
    """Cut to what a reconstruction covers; None in native tasks."""
    axis: int
    """The coarse axis: 0 (z), or 1 (y) in lateral tasks."""
    missing: tuple[int, ...] = ()
    """Observed sections that the task has removed; black, until a method fills them."""

    @property
    def like(self) -> Volume:
        """Gives dtype and intensity range of the reconstruction."""
        return self.observed if self.truth is None else self.truth


def task_degradation(folder: RunFolder) -> Degradation:
    """The degradation of a run's task."""
    facts = folder.spec.task.degradation
    return make_degradation(facts.name, folder.spec.task.scale, facts.arguments)


def learning_degradation(folder: RunFolder) -> Degradation:
    """The degradation of what a run learns from: that of its task, at the scale at which it learns."""
    facts = folder.spec.task.degradation
    return make_degradation(facts.name, folder.spec.learning_scale, facts.arguments)


def observe(folder: RunFolder, job: Job) -> TaskVolumes:
    """Truth and observed volume. A degraded one is made once and shared by all runs of the task."""
    task, degradation = folder.spec.task, task_degradation(folder)
    if task.kind == "native":
        return TaskVolumes(replace(job.truth.open(), grid=degradation.grid), None, 0)
    axis = task.axis_number
    region = trimmed_along(job.truth.open(), task.scale, axis)
    whole = observable(folder, job)
    missing = missing_sections(folder, whole.shape[axis])
    with exclusive(folder.observed.with_suffix(".lock"), f"{folder.observed}", patience=3600):
        if not intact_or_aside(folder.observed):
            copy_to_zarr(folder.observed, replace(whole, array=_Gaps(whole, missing)) if missing else whole, "float32")
            remember(folder.observed)
    observed = replace(open_volume(folder.observed), name=f"{region.name} observed", grid=degradation.grid)
    stop = list(region.shape)
    stop[axis] = degradation.grid.extent(observed.shape[axis])
    return TaskVolumes(observed, region.crop(Region.whole(stop)), axis, missing)


def observable(folder: RunFolder, job: Job) -> Volume:
    """The degraded volume with all of its sections: where the task removes some, only scores may look at these."""
    task = folder.spec.task
    region = trimmed_along(job.truth.open(), task.scale, task.axis_number)
    return degrade(region, task_degradation(folder), axis=task.axis_number, seed=task.degradation_seed)


def missing_sections(folder: RunFolder, count: int) -> tuple[int, ...]:
    """Which of the observed sections the task of a run removes."""
    task = folder.spec.task
    return task.missing.numbers(count, task.degradation_seed) if task.missing else ()


class _Gaps:
    """Sections (z, y, x) of which some are black, whatever was there."""

    def __init__(self, volume: Volume, missing: Sequence[int]) -> None:
        self.volume, self.missing = volume, missing
        self.shape, self.dtype = volume.shape, volume.dtype

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        wanted = Region.of([part.indices(n)[:2] for part, n in zip(index, self.shape, strict=True)])
        found = self.volume.read(wanted).copy()
        found[[z - wanted.start[0] for z in self.missing if wanted.start[0] <= z < wanted.stop[0]]] = 0
        return found


def recorded_runs(volume: Volume, missing: Sequence[int]) -> list[Volume]:
    """The runs of sections between those that are missing, from which methods learn; the volume itself without gaps."""
    bounds = [-1, *missing, volume.shape[0]]
    ends = [(low + 1, high) for low, high in pairwise(bounds) if high - low > 1]
    _, y, x = volume.shape
    return [volume.crop(Region((low, 0, 0), (high, y, x))) for low, high in ends] if missing else [volume]


def trimmed_along(volume: Volume, scale: float, axis: int) -> Volume:
    """The volume cut to whole slabs along an axis."""
    return trimmed(volume.with_axis_first(axis), scale).with_axis_first(axis)


def learning_source(folder: RunFolder, job: Job, regime: str) -> Source:
    """What the run may learn from.

    Inductive: the training split; transductive: the observed test volume. Of anisotropic volumes, as in lateral and
    native tasks, the recorded sections are what is observed, and methods degrade one of their axes themselves.
    """
    spec, degradation = folder.spec, learning_degradation(folder)
    kind, scale, seed = spec.learning_kind, spec.learning_scale, spec.task.degradation_seed
    recorded = kind in ("lateral", "native")

    def observed(part: VolumeAt) -> tuple[Volume, Volume]:
        truth = part.open()
        if recorded:
            return truth, replace(truth, grid=degradation.grid)
        truth = trimmed(truth, scale)
        return truth, degrade(truth, degradation, seed=derive_seed(seed, "split", part.split))

    held = [observed(part) for part in job.validation]
    validation = [sections for _, sections in held]
    if not job.training:
        test = observe(folder, job).observed if recorded else open_volume(folder.observed)
        runs = recorded_runs(test, missing_sections(folder, test.shape[0]))
        return Source.of(runs, degradation, regime, validation=validation)
    learned = [observed(part) for part in job.training]
    if spec.task.missing and spec.mode == "transductive":  # what is learned from lies in what is scored
        taught, validation = (
            [run for one in part for run in recorded_runs(one, missing_sections(folder, one.shape[0]))]
            for part in ([sections for _, sections in learned], validation)
        )
        return Source.of(taught, degradation, regime, validation=validation)
    return Source.of(
        [sections for _, sections in learned],
        degradation,
        regime,
        truth=[] if recorded else [truth for truth, _ in learned],
        validation=validation,
        validation_truth=[] if recorded else [truth for truth, _ in held],
        axial=kind != "lateral",
    )
