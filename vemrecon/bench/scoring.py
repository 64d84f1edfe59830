"""Scores of a stored reconstruction, for each kind of task."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vemrecon import protocol
from vemrecon.bench.job import Job
from vemrecon.bench.repair import repaired
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes, observable, task_degradation
from vemrecon.degradations import Degradation
from vemrecon.infer.inpainting import fill_sections, fills, predicted, without_sections
from vemrecon.judges.reference import FLOOR, JudgedTask
from vemrecon.judges.segmentation import segmentation_judges
from vemrecon.judges.tracking import tracking_judges
from vemrecon.metrics.evaluate import judge
from vemrecon.metrics.evaluation import Evaluation
from vemrecon.metrics.evidence import Evidence, FilledSections, Judge
from vemrecon.metrics.score import Score
from vemrecon.metrics.whole_sections import ALL_PLANES
from vemrecon.progress import Progress, silent
from vemrecon.volume import Region, Volume, open_volume
from vemrecon.volume.region import triple

if TYPE_CHECKING:
    from vemrecon.methods.base import Method


def scored(
    folder: RunFolder,
    job: Job,
    method: Method,
    volumes: TaskVolumes,
    made: Volume,
    spread: Volume | None,
    progress: Progress,
    metrics: Sequence[str] | None = None,
) -> Evaluation:
    """Scores and curves of a run's reconstruction, of metrics, or of every one that its specification asks for."""
    spec = folder.spec
    evidence = gathered(
        spec.task.kind,
        volumes,
        task_degradation(folder),
        made,
        job.defects,
        spread=spread,
        judges=_judges(folder, job, volumes, progress) if volumes.truth is not None else None,
        method=ReadyMethod(method, spec.method.name, folder.path / "holdout", job.device, progress),
        filled=filled_sections(folder, job, volumes, repaired(folder, method, volumes, progress)),
        tell=progress,
    )
    return judge(evidence, spec.metrics if metrics is None else metrics)


def gathered(
    kind: str,
    volumes: TaskVolumes,
    degradation: Degradation,
    made: Volume,
    defects: Sequence[int] = (),
    *,
    spread: Volume | None = None,
    judges: Callable[[str], Sequence[Judge | Score]] | None = None,
    method: ReadyMethod | None = None,
    filled: FilledSections | None = None,
    tell: Progress = silent,
) -> Evidence:
    """What a reconstruction of a task is judged by.

    Lateral tasks are scored on xy sections, never across them: sections of an anisotropic volume do not register well
    enough with each other to compare shells. Source: dataset page, lateral-plane evaluation.
    """
    truth = volumes.truth
    ranges, kept = {"all": made.whole}, list[int]()
    if truth is not None:
        count = volumes.observed.shape[volumes.axis]
        ranges, kept = scored_ranges(truth, degradation, count, volumes.axis, volumes.missing)
    return Evidence(
        made,
        ranges,
        truth=truth,
        kind=kind,
        axis=volumes.axis,
        grid=volumes.observed.grid,
        blocks=evaluation_blocks(made.whole) if truth is not None else {},
        kept_sections=kept,
        defects=defects,
        planes=("xy",) if kind == "lateral" else ALL_PLANES,
        spread=spread,
        observed=volumes.observed,
        judges=judges,
        method=method,
        filled=filled,
        tell=tell,
    )


def filled_sections(folder: RunFolder, job: Job, volumes: TaskVolumes, repaired: Volume) -> FilledSections | None:
    """What the task has removed and a method has filled; None where nothing was removed."""
    if not volumes.missing:
        return None
    hidden = without_sections(volumes.observed, volumes.missing)
    return _sections(volumes.missing, removed=observable(folder, job), filled=repaired, neighbours=hidden)


def _sections(numbers: Sequence[int], **volumes: Volume) -> FilledSections:
    """Some sections of several volumes."""

    def read(volume: Volume) -> NDArray[np.float32]:
        _, y, x = volume.shape
        return np.concatenate([volume.read(Region((z, 0, 0), (z + 1, y, x))) for z in numbers])

    return FilledSections(**{name: read(volume) for name, volume in volumes.items()})


def _judges(
    folder: RunFolder, job: Job, volumes: TaskVolumes, progress: Progress
) -> Callable[[str], Sequence[Judge | Score]]:
    assert volumes.truth is not None
    task = JudgedTask(
        truth=volumes.truth,
        start=job.truth.region[0] if job.truth.region else (0, 0, 0),
        axis=volumes.axis,
        grid=volumes.observed.require_grid(),
        identity=folder.spec.task_id,
        cache=folder.path.parent,
        floor=lambda path: floor_volume(volumes, path),
        tell=progress,
        defects=job.defects,
        device=job.device,
        pictures=folder.path,
        segmenters=folder.path.parent.parent / "segmenters",
    )
    makers = {"segmentation": segmentation_judges, "sam2": tracking_judges}
    return lambda metric: [*makers[metric](task, job.segmentation)]


def floor_volume(volumes: TaskVolumes, path: Path) -> Volume:
    """The reconstruction of a task by `FLOOR`, written to a path."""
    from vemrecon.infer.reconstruct import reconstruct_volume
    from vemrecon.methods.build import build_method
    from vemrecon.methods.condition import Situation
    from vemrecon.methods.registry import choose_preset, method_entry

    kind, _, presets = method_entry(FLOOR).resolved()
    grid = volumes.observed.require_grid()
    arguments = choose_preset(FLOOR, "default", presets)[1].arguments(Situation.of_grid(grid))
    method = build_method(kind, FLOOR, arguments, grid=grid, seed=0).eval()
    observed, _ = fill_sections(method, FLOOR, volumes.observed, volumes.missing)
    reconstruct_volume(method, observed, path, like=volumes.like, axis=volumes.axis)
    return open_volume(path, intensity_range=volumes.like.intensity_range)


@dataclass(frozen=True)
class ReadyMethod:
    """A method that is ready to reconstruct and fill other sections."""

    method: Method
    name: str
    scratch: Path
    """Folder for intermediate volumes; removed when they are no longer needed."""
    device: str = "cpu"
    tell: Progress = silent

    @contextmanager
    def reconstructed(self, observed: Volume) -> Iterator[Volume]:
        """What it makes of another volume, kept on disk while the context lasts."""
        from vemrecon.infer.reconstruct import reconstruct_volume

        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        try:
            reconstruct_volume(
                self.method,
                observed,
                self.scratch / "kept.zarr",
                like=observed,
                devices=[self.device],
                progress=lambda share: self.tell("reconstruct held-out sections", share),
            )
            yield open_volume(self.scratch / "kept.zarr")
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def filled(self, observed: Volume, sections: Sequence[int]) -> FilledSections | None:
        """Sections removed from another volume, and filled; None if it fills none."""
        if not fills(self.method):
            return None
        hidden = without_sections(observed, sections)
        made = predicted(self.method, self.name, hidden, sections)
        return _sections(sections, removed=observed, filled=made, neighbours=hidden)


def scored_ranges(
    truth: Volume, degradation: Degradation, observed: int, axis: int = 0, missing: Collection[int] = ()
) -> tuple[dict[str, Region], list[int]]:
    """Scored ranges, and the positions along the coarse axis that were copied from the input.

    `all` is everything. Where sections were kept, `span` is from the first to the last kept one: none in it is
    extrapolated. Sections that are `missing` were not kept.
    """
    ranges = {"all": truth.whole}
    positions = degradation.grid.kept(observed)
    if positions is None:
        return ranges, []
    removed = {float(degradation.grid.positions(observed)[z]) for z in missing}
    kept = [z for z in positions.tolist() if z not in removed]
    start, stop = [0, 0, 0], list(truth.shape)
    start[axis], stop[axis] = kept[0], kept[-1] + 1
    ranges["span"] = Region(triple(start), triple(stop))
    return ranges, kept if degradation.keeps_truth else []


def evaluation_blocks(whole: Region) -> dict[str, Region]:
    """Equal parts of about the protocol's block size, named by their place (z, y, x); none if there is only one."""
    rules = protocol.protocol()
    steps, regions = whole.shape, [whole]
    for size in rules["evaluation_block"]:
        if len(regions) < rules["enough_blocks"]:
            parts = [max(1, round(n / size)) for n in whole.shape]
            steps = triple([-(-n // k) for n, k in zip(whole.shape, parts, strict=True)])
            regions = list(whole.blocks(steps))
    if len(regions) == 1:
        return {}
    return {"-".join(str(a // s) for a, s in zip(r.start, steps, strict=True)): r for r in regions}
