"""Execute planned runs, each in a process of its own, as many at once as there are slots."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from vemrecon.bench.due import with_earlier_metrics
from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.result import Status
from vemrecon.bench.store import RunFolder
from vemrecon.bench.worker import STOPPED
from vemrecon.environment import cores, environment
from vemrecon.errors import OutputError
from vemrecon.locks import exclusive


class Listener(Protocol):
    """Somebody who wants to see how runs go on."""

    def started(self, run: RunFolder) -> None:
        """A run got its process."""

    def progress(self, run: RunFolder, phase: str, share: float, note: str) -> None:
        """A run is in a phase and has done a share of it; see `Progress`."""

    def ended(self, run: RunFolder, status: str, reason: str) -> None:
        """A run has a result."""


def execute(
    runs: Sequence[PlannedRun], root: Path, listener: Listener, *, jobs: int = 1, devices: Sequence[str] = ("cpu",)
) -> None:
    """Do all runs; a failed one is recorded and never stops the others.

    Args:
        runs: What to do.
        root: The run store, which this process holds for itself meanwhile.
        listener: Told what happens.
        jobs: Runs at once.
        devices: Torch devices, handed out in turn.

    Raises:
        ConfigError: If another runner works on the store.
        OutputError: If the disk is full or cannot be written; what is finished stays.
        KeyboardInterrupt: On Ctrl-C, after all workers have ended.
    """
    with exclusive(root / "runner.lock", f"run folder {root}"):
        Pool(runs, listener, jobs, devices).work()


class Pool:
    """Worker processes and the messages they send."""

    def __init__(self, runs: Sequence[PlannedRun], listener: Listener, jobs: int, devices: Sequence[str]) -> None:
        self.waiting = list(reversed(runs))
        self.listener, self.jobs = listener, max(1, jobs)
        self.free_devices = [devices[i % len(devices)] for i in range(self.jobs)]
        self.messages: queue.Queue[tuple[Worker, dict[str, Any] | None]] = queue.Queue()
        self.active: list[Worker] = []

    def work(self) -> None:
        """Start workers as slots come free until all runs have ended."""
        try:
            while self.waiting or self.active:
                while self.waiting and len(self.active) < self.jobs:
                    self._start(self.waiting.pop())
                worker, message = self.messages.get()
                if message is None:
                    self._end(worker)
                elif "error" in message:
                    worker.error = message["error"]
                else:
                    self.listener.progress(worker.run, message["phase"], message["share"], message["note"])
        finally:
            for worker in self.active:
                worker.process.terminate()
            for worker in self.active:
                worker.process.wait()

    def _start(self, planned: PlannedRun) -> None:
        device = self.free_devices.pop(0)
        old = planned.folder.result()
        with_earlier_metrics(planned.folder, old).create()
        replace(planned.job, device=device).write(planned.folder.path / "job.json")
        if old is not None and old.status != Status.DONE:  # a finished result stays until a better one replaces it
            (planned.folder.path / "result.json").unlink()
        worker = Worker(planned.folder, device, threads_per_job(self.jobs), self.messages.put)
        self.active.append(worker)
        self.listener.started(planned.folder)

    def _end(self, worker: Worker) -> None:
        self.active.remove(worker)
        self.free_devices.append(worker.device)
        code = worker.process.wait()
        if code == STOPPED:
            raise OutputError(worker.error or f"{worker.run.path}: cannot be written")
        result = worker.run.result()
        status, reason = (result.status, result.reason) if result else (Status.INTERRUPTED, "")
        if result is None or (code != 0 and status == Status.DONE):
            status, reason = Status.INTERRUPTED if code <= 0 else Status.FAILED, death(code, worker.run.path)
        if result is None:
            worker.run.write_result(status, reason=reason, environment=environment())
        self.listener.ended(worker.run, status, reason)


class Worker:
    """One process and the thread that reads its messages."""

    def __init__(
        self, run: RunFolder, device: str, threads: int, put: Callable[[tuple[Worker, dict[str, Any] | None]], None]
    ) -> None:
        self.run, self.device, self.error = run, device, ""
        environ = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
        # methods given by class path may live in the folder that the user works in
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path.cwd())]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vemrecon.bench.worker", str(run.path)],
            stdin=subprocess.PIPE,  # its end tells the worker that the runner is gone
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        threading.Thread(target=self._listen, args=(put,), daemon=True).start()

    def _listen(self, put: Callable[[tuple[Worker, dict[str, Any] | None]], None]) -> None:
        assert self.process.stdout is not None and self.process.stderr is not None
        try:
            for line in self.process.stdout:
                with suppress(json.JSONDecodeError):  # something else printed before the worker opened its log
                    put((self, json.loads(line)))
            if errors := self.process.stderr.read().strip():  # only what comes before the worker has opened its log
                with suppress(OSError), (self.run.path / "log.txt").open("a", encoding="utf-8") as log:
                    log.write(errors + "\n")
        finally:
            put((self, None))


def threads_per_job(jobs: int) -> int:
    """Cores of this machine divided among the runs at once."""
    return max(1, cores() // jobs)


def death(code: int, folder: Path) -> str:
    """Why a process ended without leaving a result."""
    if code <= 0:
        name = signal.Signals(-code or signal.SIGTERM).name  # the trainer turns SIGTERM into an orderly end
        hint = " (often too little memory)" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}; start again to go on"
    log = folder / "log.txt"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return f"exit code {code}: {lines[-1] if lines else 'no message'}"
