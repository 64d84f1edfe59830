"""One run in one process: `python -m vemrecon.bench.worker RUN_FOLDER`.

Talks to the runner by one JSON object per line on standard output; everything else goes to log.txt in the run folder.
Ends at once when the runner is gone (its end of standard input closes), so that a new runner finds a free folder.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.bench.heartbeat import Heartbeat, TakenError
from vemrecon.bench.job import Job
from vemrecon.bench.result import Status
from vemrecon.bench.store import RunFolder
from vemrecon.environment import environment, of_run
from vemrecon.errors import ConfigError, OutputError, VemreconError
from vemrecon.locks import exclusive
from vemrecon.metrics.catalogue import versions_of
from vemrecon.progress import Progress

if TYPE_CHECKING:
    from vemrecon.methods.base import Method

OK, FAILED, STOPPED = 0, 1, 2


def run(folder: RunFolder, tell: Progress) -> None:
    """Bring a run to its end: observe, train, reconstruct, score, write result.json."""
    from vemrecon.bench import phases
    from vemrecon.bench.task_volumes import observe
    from vemrecon.methods.registry import method_entry

    spec = folder.spec
    job = Job.read(folder.path / "job.json")
    tell("load", 0.0)
    _, card, _ = method_entry(spec.method.entry).resolved()
    here = environment() | {"device": job.device}
    facts: dict[str, Any] = {"card": card, "environment": here}
    method = phases.method_of(folder)
    tell("degrade", 0.0)
    volumes = observe(folder, job)
    facts |= {"grid": volumes.observed.grid, "intensity_range": job.truth.grey_range}
    reason = out_of_scope(card.regime, method, spec.task.kind)
    if reason := reason or method.supports(spec.task.scale, volumes.observed.require_grid()):
        folder.write_result(Status.DECLINED, reason=reason, **facts)
        return
    phases.learn(folder, job, method, card.regime, tell)
    phases.reconstruct(folder, job, method.eval().to(job.device), volumes, tell)
    clock = time.perf_counter()
    scores = phases.score(folder, job, method, volumes, tell)
    costs = replace(
        phases.phase_costs(folder),
        score_seconds=time.perf_counter() - clock,
        output_voxels=phases.reconstruction(folder, volumes).whole.voxels,
    )
    artifacts = {"reconstruction": "reconstruction.zarr", "sections": "sections.npz", "curves": "curves.json"}
    facts["environment"] = of_run(here, phases.environments(folder))
    versions = versions_of(spec.metrics)
    folder.write_result(Status.DONE, scores=scores, metric_versions=versions, costs=costs, artifacts=artifacts, **facts)


def out_of_scope(regime: str, method: Method, kind: str) -> str | None:
    """Reason why a method of a regime cannot do a kind of task, or None."""
    if regime == "isotropic" and kind != "reference":
        return "it learns from isotropic truth, which an anisotropic dataset does not have"
    if method.sees_across_sections and kind == "lateral":
        return "it learns from planes across sections, which lateral tasks keep apart"
    return None


def main(path: Path) -> int:
    """Run one folder and leave a result, whatever happens short of a kill."""
    threading.Thread(target=_end_with_runner, daemon=True).start()
    messages = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")

    def tell(phase: str, share: float, note: str = "") -> None:
        messages.write(json.dumps({"phase": phase, "share": share, "note": note}) + "\n")

    try:
        with (
            exclusive(path / "lease", f"run {path.name}", patience=10),
            (path / "log.txt").open("a", buffering=1, encoding="utf-8") as log,
            Heartbeat(path, tell) as beat,
        ):
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            return recorded(RunFolder.open(path), beat.progress)
    except (OutputError, ConfigError, OSError) as error:
        # the disk or another runner, not the run, is at fault: nothing is recorded, and a new start goes on
        messages.write(json.dumps({"error": str(error)}) + "\n")
        return STOPPED


def recorded(folder: RunFolder, tell: Progress) -> int:
    """Run, and record a failure: it is a row with its reason and never stops the others."""
    try:
        run(folder, tell)
    except (OutputError, TakenError):
        raise
    except Exception as error:
        traceback.print_exc()
        reason = str(error) if isinstance(error, VemreconError) else f"{type(error).__name__}: {error}"
        folder.write_result(Status.FAILED, reason=" ".join(reason.split()), environment=environment())
        return FAILED
    return OK


def _end_with_runner() -> None:
    while os.read(0, 4096):
        pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
