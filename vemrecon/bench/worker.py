"""One run in one process, from what it observes to its result.

Tells whoever waits for it how it goes; everything else that is printed goes to log.txt in the run folder.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.bench.executors.messages import STOPPED, Part, SignalError, Teller, kind_of, reason_of
from vemrecon.bench.heartbeat import Heartbeat, TakenError
from vemrecon.bench.job import Job
from vemrecon.bench.result import Status
from vemrecon.bench.store import RunFolder
from vemrecon.environment import environment, of_run
from vemrecon.errors import ConfigError, OutputError
from vemrecon.locks import exclusive
from vemrecon.metrics.catalogue import versions_of
from vemrecon.processes import end_by, end_with_input
from vemrecon.progress import Progress, silent

if TYPE_CHECKING:
    pass

OK, FAILED = 0, 1
Enter = Callable[[Part], None]
"""Told which part of the run begins."""


def run(folder: RunFolder, tell: Progress, part: Enter) -> None:
    """Bring a run to its end: observe, train, reconstruct, score, write result.json."""
    from vemrecon.bench import phases
    from vemrecon.bench.preset_facts import preset_facts
    from vemrecon.bench.references import reference_scores
    from vemrecon.bench.scope import cannot_compute, declined
    from vemrecon.bench.task_volumes import observe
    from vemrecon.bench.trainings import learn, method_of
    from vemrecon.fit.stages import chosen_weights

    spec = folder.spec
    job = Job.read(folder.path / "job.json")
    part("observe")
    tell("load", 0.0)
    _, card, _ = spec.method.found().resolved()
    here = environment() | {"device": job.device}
    facts: dict[str, Any] = {"card": card, "preset_facts": preset_facts(spec), "environment": here}
    method = method_of(folder)
    tell("degrade", 0.0)
    volumes = observe(folder, job)
    facts |= {"grid": volumes.observed.grid, "intensity_range": job.truth.grey_range}
    if reason := declined(folder, card, method) or cannot_compute(spec, job.device):
        folder.write_result(Status.DECLINED, reason=reason, **facts)
        return
    part("train")
    method = learn(folder, job, card.regime, tell) if method.stages() else method
    facts["chosen"] = chosen_weights(folder.path / "train")
    part("reconstruct")
    phases.reconstruct(folder, job, method.eval().to(job.device), volumes, tell)
    part("score")
    clock = time.perf_counter()
    scores = phases.score(folder, job, method, volumes, tell)
    costs = replace(
        phases.phase_costs(folder),
        score_seconds=time.perf_counter() - clock,
        output_voxels=phases.reconstruction(folder, volumes).whole.voxels,
    )
    facts["references"] = reference_scores(folder, job, volumes, tell)
    artifacts = {"reconstruction": "reconstruction.zarr", "sections": "sections.npz", "curves": "curves.json"}
    facts["environment"] = of_run(here, phases.environments(folder))
    versions = versions_of(spec.metrics)
    folder.write_result(Status.DONE, scores=scores, metric_versions=versions, costs=costs, artifacts=artifacts, **facts)


def learn_along(folder: RunFolder) -> None:
    """Do the share of a training that is this process's, beside the one that brings the run to its end."""
    from vemrecon.bench.task_volumes import observe
    from vemrecon.bench.trainings import learn

    job = Job.read(folder.path / "job.json")
    _, card, _ = folder.spec.method.found().resolved()
    observe(folder, job)  # waits until it is there
    learn(folder, job, card.regime, silent)


def main(path: Path) -> int:
    """Run one folder and leave a result, whatever happens short of a kill.

    Standard input and output are those of `warm`: the first ends when nobody waits for the run any more, the second
    takes messages.
    """
    end_with_input()
    tell = Teller()
    try:
        with (
            exclusive(path / "lease", f"run {path.name}", patience=10),
            (path / "log.txt").open("a", buffering=1, encoding="utf-8") as log,
            Heartbeat(path, tell) as beat,
        ):
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            return recorded(RunFolder.open(path), beat.progress, tell.part)
    except SignalError as error:  # what ends a process of the run ends the run, and whoever waits for it sees how
        print(error, file=sys.stderr)
        end_by(error.signal)
    except (OutputError, ConfigError, OSError) as error:
        # the disk or another runner, not the run, is at fault: nothing is recorded, and a new start goes on
        tell.error(error)
        return STOPPED


def recorded(folder: RunFolder, tell: Progress, part: Enter = lambda name: None) -> int:
    """Run, and record a failure: it is a row with its reason and never stops the others."""
    try:
        run(folder, tell, part)
    except (OutputError, TakenError, SignalError):
        raise
    except Exception as error:
        traceback.print_exc()
        status = Status.OUT_OF_MEMORY if kind_of(error) == "memory" else Status.FAILED
        folder.write_result(status, reason=reason_of(error), environment=environment())
        return FAILED
    return OK
