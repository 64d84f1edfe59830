"""`TaskVolumes`: what a run looks at. Truth and observed volume of each kind of task, and what may be learned from."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    with exclusive(folder.observed.with_suffix(".lock"), f"{folder.observed}", patience=3600):
        if not intact_or_aside(folder.observed):
            observed = degrade(region, degradation, axis=axis, seed=task.degradation_seed)
            copy_to_zarr(folder.observed, observed, "float32")
            remember(folder.observed)
    observed = replace(open_volume(folder.observed), name=f"{region.name} observed", grid=degradation.grid)
    stop = list(region.shape)
    stop[axis] = degradation.grid.extent(observed.shape[axis])
    return TaskVolumes(observed, region.crop(Region.whole(stop)), axis)


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
        return Source.of([test], degradation, regime, validation=validation)
    learned = [observed(part) for part in job.training]
    return Source.of(
        [sections for _, sections in learned],
        degradation,
        regime,
        truth=[] if recorded else [truth for truth, _ in learned],
        validation=validation,
        validation_truth=[] if recorded else [truth for truth, _ in held],
        axial=kind != "lateral",
    )
