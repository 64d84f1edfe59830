"""Seeing one run to its end, wherever its process is: messages are passed on, limits are kept, nothing is left over."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vemrecon.bench.executors.limits import Limits, Watch, killed_for_memory
from vemrecon.bench.executors.messages import STOPPED, Lines, end_of
from vemrecon.bench.executors.warm_process import WarmProcess
from vemrecon.bench.job import Job
from vemrecon.bench.result import Status

Told = Callable[[Mapping[str, Any]], None]
"""Gets the messages of a run."""
OFTEN = 1.0  # seconds between looks at whether the run is still wanted


@dataclass(frozen=True)
class Order:
    """What it takes to do one run.

    Attributes:
        path: The run folder, as whoever does the run finds it.
        job: With the devices that the run has for itself.
        limits: What it may take.
        threads: It computes with.
    """

    path: Path
    job: Job
    limits: Limits = field(default_factory=Limits)
    threads: int = 1

    def on(self, devices: tuple[str, ...], threads: int) -> Order:
        """The same on other devices, with so many threads."""
        return replace(self, job=replace(self.job, devices=devices), threads=threads)


@dataclass(frozen=True)
class Outcome:
    """How the process of a run has ended.

    Attributes:
        code: Its exit code, or minus the signal that ended it.
        status: What the run is, if it has left no result.
        reason: Why.
        stopped: Why no run can be done where this one should have been; empty if nothing but the run was at fault.
    """

    code: int
    status: Status = Status.INTERRUPTED
    reason: str = ""
    stopped: str = ""


def attend(warm: WarmProcess, order: Order, told: Told, wanted: Callable[[], bool] = lambda: True) -> Outcome:
    """Begin the process of a run and stay with it until it has ended.

    Args:
        warm: Forks it.
        order: What is to be done.
        told: Gets its messages.
        wanted: Whether it is to go on; asked about every second.

    Raises:
        GoneError: If there is no warm process any more.
        OutputError: If job.json cannot be written.
    """
    order.job.write(order.path / "job.json")
    deaths = killed_for_memory()
    process = warm.begin(order.path, order.threads)
    watch, lines, error = Watch(order.limits, process.number), Lines(), ""
    over: tuple[Status, str] | None = None
    try:
        with selectors.DefaultSelector() as ready:
            ready.register(process.messages, selectors.EVENT_READ)
            while True:
                pause = watch.pause()
                if ready.select(OFTEN if pause is None else min(pause, OFTEN)):
                    piece = os.read(process.messages, 1 << 16)
                    if not piece:
                        break
                    for message in lines.of(piece):
                        if "part" in message:
                            watch.enter(message["part"])
                        error = message.get("error", error)
                        told(message)
                over = over or watch.over() or (None if wanted() else (Status.INTERRUPTED, "not wanted any more"))
                if over:
                    process.kill()
                elif process.code is not None and not ready.select(0):
                    break  # it has ended, and somebody else holds its pipe
        code = process.wait()
    finally:
        process.kill()
        process.close()
    if over:
        return Outcome(code, *over)
    if code == STOPPED:
        return Outcome(code, stopped=error or f"{order.path}: cannot be written")
    return Outcome(code, *end_in_words(code, order.path, killed_for_memory() > deaths))


def end_in_words(code: int, folder: Path, memory: bool) -> tuple[Status, str]:
    """What a run is whose process has ended without a result, and why."""
    if code == -signal.SIGKILL and memory:
        return Status.OUT_OF_MEMORY, "ended by the system, whose memory was full; --retry out-of-memory tries it again"
    if code <= 0:
        # the trainer turns SIGTERM into an orderly end, which is none of a run
        return Status.INTERRUPTED, f"{end_of(code or -signal.SIGTERM)}; start again to go on"
    log = folder / "log.txt"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return Status.FAILED, f"exit code {code}: {lines[-1] if lines else 'no message'}"
