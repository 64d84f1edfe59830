"""Execute planned runs, as many at once as there is room for, and record how each of them ends."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from vemrecon.bench.due import with_earlier_metrics, with_earlier_things
from vemrecon.bench.executors.attend import Order, Outcome
from vemrecon.bench.executors.here import Executor
from vemrecon.bench.executors.limits import Limits
from vemrecon.bench.heartbeat import Beat
from vemrecon.bench.job import Job
from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.result import Status
from vemrecon.bench.store import RUNNING, RunFolder
from vemrecon.environment import environment
from vemrecon.errors import OutputError
from vemrecon.locks import exclusive

NO_LIMITS = Limits()
OFTEN = 1.0  # seconds between looks at whether there is room for more runs
Event = tuple[RunFolder, Mapping[str, Any] | Callable[[], Outcome]]
"""A message of a run, or what gives its outcome."""


class Listener(Protocol):
    """Somebody who wants to see how runs go on."""

    def started(self, run: RunFolder) -> None:
        """A run got its process."""

    def progress(self, run: RunFolder, phase: str, share: float, note: str) -> None:
        """A run is in a phase and has done a share of it; see `Progress`."""

    def ended(self, run: RunFolder, status: str, reason: str) -> None:
        """A run has a result."""


def execute(
    runs: Sequence[PlannedRun], root: Path, listener: Listener, executor: Executor, limits: Limits = NO_LIMITS
) -> None:
    """Do all runs; a failed one is recorded and never stops the others.

    Args:
        runs: What to do.
        root: The run store, which this process holds for itself meanwhile.
        listener: Told what happens.
        executor: Does the runs.
        limits: What each may take.

    Raises:
        ConfigError: If another runner works on the store.
        OutputError: If the disk is full or cannot be written; what is finished stays.
        KeyboardInterrupt: On Ctrl-C, after all their processes have ended.
    """
    with exclusive(root / "runner.lock", f"run folder {root}"):
        if runs:
            with executor:
                _Sweep(runs, listener, executor, limits).work()


def begin(planned: PlannedRun) -> Job:
    """Make the folder of a run ready for whoever does it, and give the job that does it.

    Raises:
        OutputError: If it cannot be written.
    """
    run, old = planned.folder, planned.folder.result()
    job = with_earlier_things(planned.job, run, old)
    with_earlier_metrics(run, old).create()
    job.write(run.path / "job.json")
    if old is not None and old.status != Status.DONE:  # a finished result stays until a better one replaces it
        run.result_file.unlink()
    return job


class _Sweep:
    """Runs that wait and runs that are at work."""

    def __init__(self, runs: Sequence[PlannedRun], listener: Listener, executor: Executor, limits: Limits) -> None:
        self.waiting = list(reversed(runs))
        self.listener, self.executor, self.limits = listener, executor, limits
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.active: list[RunFolder] = []

    def work(self) -> None:
        """Begin runs as there is room until all have ended."""
        while self.waiting or self.active:
            while self.waiting and len(self.active) < self.executor.room():
                self._start(self.waiting.pop())
            try:
                run, found = self.events.get(timeout=OFTEN)
            except queue.Empty:  # there may be room for more now
                self._look()
                continue
            if callable(found):
                self._end(run, found())
            elif "phase" in found:
                self.listener.progress(run, found["phase"], found["share"], found["note"])

    def _look(self) -> None:
        """Tell what runs elsewhere have written of themselves."""
        for run in () if self.executor.tells else self.active:
            if beat := Beat.read(run.path):
                self.listener.progress(run, beat.phase, beat.share, beat.note)

    def _start(self, planned: PlannedRun) -> None:
        run = planned.folder
        job = begin(planned)
        self.active.append(run)
        self.listener.started(run)
        self.executor.submit(
            Order(run.path, job, self.limits),
            lambda message: self.events.put((run, message)),
            lambda outcome: self.events.put((run, outcome)),
        )

    def _end(self, run: RunFolder, outcome: Outcome) -> None:
        self.active.remove(run)
        if (outcome.stopped or outcome.code) and (beat := Beat.at_work(run.path)):
            self.listener.ended(run, RUNNING, f"by {beat}; the other runs go on")  # another machine has it
            return
        if outcome.stopped:
            raise OutputError(outcome.stopped)
        result = run.result()
        status, reason = (result.status, result.reason) if result else (outcome.status, outcome.reason)
        if result is None:
            run.write_result(status, reason=reason, environment=environment())
        elif outcome.code != 0 and status == Status.DONE:  # scored again in vain: what it had stays
            status, reason = outcome.status, outcome.reason
        self.listener.ended(run, status, reason)
