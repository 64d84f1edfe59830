"""How long runs will take of which nothing alike has finished: some batches and a tile of each are timed, and thrown
away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vemrecon.bench.executors.messages import reason_of
from vemrecon.bench.forecast import Experience, Record, alike
from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.result import Costs
from vemrecon.bench.scope import declined
from vemrecon.bench.spec import WEIGHTS
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import learning_source, observe
from vemrecon.bench.trainings import learner_of, method_of
from vemrecon.fit.pace import paces
from vemrecon.infer.estimate import estimate


def rehearsed(runs: Sequence[PlannedRun], known: Experience, device: str) -> Iterator[tuple[PlannedRun, Record | str]]:
    """Rehearse runs that nothing is known of, one for each method, its arguments and the scale.

    Args:
        runs: What is planned. Their data must be there.
        known: Runs that have finished.
        device: Where they would be done.

    Yields:
        A run, and what one like it would take, or in words why that is not known.
    """
    seen: set[str] = set()
    with tempfile.TemporaryDirectory() as place:
        for run in runs:
            spec = run.folder.spec
            if alike(spec) in seen or known.forecast(run).basis:
                continue
            seen.add(alike(spec))
            try:
                yield run, _rehearse(run, Path(place), device)
            except Exception as error:  # as in a run, a method may raise anything
                yield run, reason_of(error)


def _rehearse(run: PlannedRun, place: Path, device: str) -> Record | str:
    spec, folder = run.folder.spec, RunFolder.of(run.folder.spec, place)
    _, card, _ = spec.method.found().resolved()
    method, volumes = method_of(folder), observe(folder, run.job)
    if card.at_test:
        return "every tile is a fit of its own, which takes as long as the run"
    if reason := declined(folder, card, method):
        return f"it will decline: {reason}"
    training = 0.0
    if method.stages() and spec.mode != WEIGHTS:
        source, learner = learning_source(folder, run.job, card.regime), learner_of(folder)
        found = paces(learner, source, place / "rehearsal", seed=spec.seed, device=device, prepare=True)
        training = sum(pace.prepare + pace.of(stage) for stage, pace in zip(learner.stages(), found, strict=True))
    method = method_of(folder).eval().to(device)
    observed = volumes.observed.with_axis_first(volumes.axis)
    seconds = estimate(method, observed, device).seconds
    costs = Costs(train_seconds=training, reconstruct_seconds=seconds, output_voxels=volumes.like.whole.voxels)
    return Record(spec, costs, device.partition(":")[0], None)
