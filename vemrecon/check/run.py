"""`check`: ask every question in a process of its own, which is ended when it takes too long or too much memory."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vemrecon.bench.executors.limits import memory_of
from vemrecon.bench.executors.messages import end_of
from vemrecon.check.catalogue import CheckedKind
from vemrecon.check.verdict import CheckReport, Outcome, Verdict
from vemrecon.errors import VemreconError, unknown
from vemrecon.files import from_plain, write_json

OFTEN = 0.2  # seconds between looks at the memory
Told = Callable[[Verdict], None]


def check(
    kind: CheckedKind,
    name: str,
    *,
    preset: str = "",
    data_root: Path | None = None,
    only: Sequence[str] = (),
    limit: float = 120.0,
    memory: int = 8 << 30,
    tell: Told = lambda verdict: None,
    log: Path | None = None,
) -> tuple[Verdict, ...]:
    """Ask all questions.

    Args:
        kind: Of the thing.
        name: Its name or class path.
        preset: That a method runs with; empty for the smallest.
        data_root: Where the files of a dataset are.
        only: Names of the checks to make; by default all.
        limit: Seconds of a check.
        memory: Most bytes of all its processes.
        tell: Told what a check has found.
        log: Where what its code prints is kept; by default nowhere.
    """
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="vemrecon-check-") as place:
        folder = Path(place)
        asked = str(Path(name).absolute()) if name.endswith((".yaml", ".yml")) else name
        order = {"kind": kind, "name": asked, "preset": preset, "data_root": str(data_root) if data_root else ""}
        write_json(folder / "order.json", order)
        process: _Process | None = None
        try:
            process = _Process(folder)
            lost = ""
            known = [one for one, _ in process.checks]
            if wrong := [one for one in only if one not in known]:
                raise unknown(f"check of a {kind}", wrong[0], known)
            for one, needed in process.checks:
                if only and one not in only and not needed:
                    continue
                if lost:
                    verdict = Verdict(one, Outcome.LEFT_OUT, lost)
                else:
                    process = process or _Process(folder)
                    verdict = process.ask(one, limit, memory)
                    if process.gone:
                        process.end()
                        process = None
                verdicts.append(verdict)
                tell(verdict)
                if needed and verdict.outcome is Outcome.FAILED:
                    lost = f"'{one}' failed"
                if verdict.outcome is Outcome.FAILED and verdict.seconds >= limit:
                    lost = f"'{one}' took too long, and others would, too; --only NAME asks them one by one"
        finally:
            if process:
                process.end()
            if log and (folder / "log.txt").exists():
                shutil.copy(folder / "log.txt", log)
    return tuple(verdicts)


class _Process:
    """A process that makes checks in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        work = folder / "work"
        work.mkdir(exist_ok=True)
        here = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
        with (folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vemrecon.check.process", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": here, "VEMRECON_CHECK": "1"},
                start_new_session=True,
                text=True,
            )
        self.answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        first = self.answers.get()
        if first is None:
            raise VemreconError(f"checks cannot begin ({end_of(self.process.wait())}); see {folder / 'log.txt'}")
        self.checks: list[tuple[str, bool]] = [(name, needed) for name, needed in json.loads(first)]
        """Names, and whether no other question makes sense after a failure."""

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def ask(self, name: str, limit: float, memory: int) -> Verdict:
        """What a check finds, or that it did not come to an end."""
        assert self.process.stdin is not None
        clock = time.monotonic()
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"{name}\n")
            self.process.stdin.flush()
        while True:
            with suppress(queue.Empty):
                line = self.answers.get(timeout=OFTEN)
                if line is not None:
                    return from_plain(Verdict, json.loads(line))
                code = self.process.wait()
                return self._lost(name, clock, f"its process ended ({end_of(code)})")
            if time.monotonic() - clock > limit:
                said = f"took longer than {limit:g} s: it hangs, or is too slow for a smoke test; --limit gives it more"
                return self._lost(name, clock, said)
            if sys.platform == "linux" and (taken := memory_of(self.process.pid)) > memory:
                said = f"took {taken / 2**30:.1f} GiB of memory, more than {memory / 2**30:g}; --memory gives it more"
                return self._lost(name, clock, said)

    def _lost(self, name: str, clock: float, words: str) -> Verdict:
        self._kill()
        return Verdict(name, Outcome.FAILED, words, round(time.monotonic() - clock, 2))

    @property
    def gone(self) -> bool:
        """Whether it makes no more checks."""
        return self.process.poll() is not None

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """End it, and all that it has begun."""
        self._kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                if pipe:
                    pipe.close()


def report_of(kind: CheckedKind, name: str, verdicts: tuple[Verdict, ...], preset: str) -> CheckReport:
    """What is kept of them."""
    from vemrecon.environment import environment
    from vemrecon.methods.recipe import PROGRAM, program_origin
    from vemrecon.methods.registry import method_entry
    from vemrecon.plugins import origin_of

    class_path, version, origin = name, "", None
    with suppress(Exception):  # what could not be loaded has none of it
        if kind == "method":
            entry = method_entry(name)
            _, card, _ = entry.resolved()
            class_path, version = entry.class_path, card.version
            origin = origin_of(class_path, entry.package, {one.file: one.sha256 for one in card.weights})
            if class_path == PROGRAM:
                origin = program_origin(name, entry.presets["default"])
    return CheckReport(kind, name, class_path, version, origin, verdicts, preset, environment())
