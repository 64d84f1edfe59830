"""Which runs of a plan are to be done now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from vemrecon.bench.changes import state_of
from vemrecon.bench.job import Job
from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.request import Retry
from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.store import PLANNED, RUNNING, STALE, RunFolder, RunState
from vemrecon.errors import DataError
from vemrecon.judges.labelled import found_by
from vemrecon.judges.segmenters import obstacle_of
from vemrecon.metrics.catalogue import expanded, known
from vemrecon.metrics.score import Need

UNFINISHED: frozenset[RunState] = frozenset({PLANNED, RUNNING, Status.INTERRUPTED})
"""States of runs that are done whenever they are asked for. One that is at work may be dying with a runner that was
killed just now: whoever does it waits for its lock, or says who has it."""


def to_do(plan: Sequence[PlannedRun], retry: Collection[Retry] = ()) -> list[PlannedRun]:
    """Runs that need work.

    Args:
        plan: What is asked for.
        retry: States that are repeated besides; what was planned or interrupted is always done, and a finished run is
            scored again where weights or a package have come that it lacked.
    """
    again = {word.replace("-", " ") for word in retry}
    return [run for run in plan if needs_work(run.folder, again)]


def needs_work(folder: RunFolder, again: Collection[str]) -> bool:
    """Whether a run is to be done; `again` are states in which that has to be asked for."""
    state = folder.state()
    if state in UNFINISHED or state in again or weights_arrived(folder):
        return True
    return STALE in again and state_of(folder) == STALE


def clear_stale(runs: Sequence[PlannedRun]) -> None:
    """Remove what finished runs were made of, where something that made it has changed, so that it is made anew.

    Raises:
        OutputError: If it cannot be removed.
    """
    for run in runs:
        if state_of(run.folder) == STALE:
            run.folder.clear()


def weights_arrived(folder: RunFolder) -> bool:
    """Whether a finished run lacks a score because a package or weights were missing, and now they are here."""
    result = folder.result()
    scores = result.scores if result else ()
    lacking = [s for s in scores if s.value is None and s.missing == Need.WEIGHTS]
    if not result or not lacking or result.status != Status.DONE:
        return False
    others = {found_by(path, s.target): path for path in result.spec.segmenters for s in scores}
    if any(s.target in others and not obstacle_of(others[s.target]) for s in lacking):
        return True
    task, blank = result.spec.task, {(s.metric, s.variant) for s in lacking if s.target not in others}
    waiting = [
        spec
        for spec in expanded(known(result.spec.metrics))
        if spec.obstacle and blank & {(column.metric, column.variant) for column in spec.columns(task.kind, task.axis)}
    ]
    return any(spec.obstacle and not spec.obstacle() for spec in waiting)


def with_earlier_metrics(folder: RunFolder, old: RunResult | None) -> RunFolder:
    """The folder of a run that is scored again, with what it was scored by before: nothing that is computed is lost."""
    if old is None or old.status != Status.DONE:
        return folder
    names = dict.fromkeys(known((*old.spec.metrics, *folder.spec.metrics)))
    segmenters = dict.fromkeys((*old.spec.segmenters, *folder.spec.segmenters))
    return replace(folder, spec=replace(folder.spec, metrics=tuple(names), segmenters=tuple(segmenters)))


def with_earlier_things(job: Job, folder: RunFolder, old: RunResult | None) -> Job:
    """The job of a run that is scored again: it also looks for what was looked for before, if labels are there."""
    if old is None or old.status != Status.DONE:
        return job
    try:
        before = Job.read(folder.path / "job.json").segmentation
    except DataError:
        return job
    new = {at.name for at in job.segmentation if at.what}
    kept = [at for at in before if at.name not in new and at.scored and Path(at.scored.labels.path).exists()]
    return replace(job, segmentation=(*(at for at in job.segmentation if at.what or not kept), *kept))
