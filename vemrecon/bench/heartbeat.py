"""Who is at work on a run, and how far it is: a small file that a run at work writes again every few seconds.

On one machine a lock that ends with its process keeps others away (`vemrecon.locks`). On file systems that several
machines share, such locks may hold on each machine alone, and clocks differ. So nobody compares times: whoever wants a
run of another machine watches its counter, and takes the run over when that has stood still for long enough by the
clock of the one who watches. Whoever finds the token of somebody else in the file has lost the run, and ends without
writing a result.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vemrecon.errors import ConfigError, DataError, OutputError
from vemrecon.files import from_plain, recalled, write_json
from vemrecon.progress import Progress, silent

FILE: Final = "heartbeat.json"
EVERY_SECONDS = 5.0
STILL_SECONDS = 60.0
"""A counter that has not moved for so long is that of a run that nobody works on."""
LOST = 4
"""Exit code of a process whose run was taken over."""


class TakenError(ConfigError):
    """Somebody else is at work on a run."""


@dataclass(frozen=True)
class Beat:
    """What the file says."""

    host: str
    pid: int
    token: str
    """Random, of one attempt."""
    count: int = 0
    started: float = 0.0
    """Seconds since 1970, by the clock of the host."""
    phase: str = ""
    share: float = 0.0
    """Finished share of the phase."""
    note: str = ""
    phase_seconds: float = 0.0
    """Since the phase began."""
    left_seconds: float | None = None
    """Until the phase ends, if it goes on as it went so far."""

    @classmethod
    def read(cls, folder: Path) -> Beat | None:
        """The one of a run; None if there is none, or it is damaged."""
        try:
            return from_plain(cls, recalled(folder / FILE)) if (folder / FILE).exists() else None
        except DataError:
            return None

    @classmethod
    def at_work(cls, folder: Path) -> Beat | None:
        """The one of a run that somebody seems to be at work on.

        Of another machine only the time of the file can be looked at here, which is not exact; `Heartbeat` is.
        """
        beat = cls.read(folder)
        if beat is None or age(folder) > 2 * STILL_SECONDS:
            return None
        return beat if beat.host != socket.gethostname() or lives(beat.pid) else None

    @property
    def mine(self) -> bool:
        """Whether it is of this process."""
        return (self.host, self.pid) == (socket.gethostname(), os.getpid())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def age(folder: Path) -> float:
    """Seconds since the last beat, not negative even where clocks differ; infinite if there is none."""
    try:
        return max(0.0, time.time() - (folder / FILE).stat().st_mtime)
    except OSError:
        return float("inf")


def lives(pid: int) -> bool:
    """Whether a process of this machine is at work; not if it has ended and nobody has taken note of that yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):  # not Linux, or it has ended just now
        return sys.platform != "linux"


def _end() -> None:
    os._exit(LOST)


class Heartbeat:
    """Beats while a run is at work: `with Heartbeat(folder, tell) as beat: ... beat.progress(phase, share, note)`.

    Args:
        folder: Of the run. On this machine its lock must be held.
        tell: Told all progress, too.
        every: Seconds between beats.
        still: Seconds that the counter of another machine must stand still before its run is taken over.
        host: Name of this machine.
        lost: Called, by another thread, when somebody else has taken the run over; ends the process by default.

    Raises:
        TakenError: On entering, if another machine is at work on the run.
        OutputError: On entering, if the file cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        tell: Progress = silent,
        *,
        every: float = EVERY_SECONDS,
        still: float = STILL_SECONDS,
        host: str | None = None,
        lost: Callable[[], None] = _end,
    ) -> None:
        self.folder, self.tell, self.every, self.still, self.lost = folder, tell, every, still, lost
        self.beat = Beat(host or socket.gethostname(), os.getpid(), secrets.token_hex(8), started=time.time())
        self.ended, self.lock = threading.Event(), threading.Lock()
        self.clock, self.first = time.monotonic(), 0.0
        self.thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        other = Beat.read(self.folder)
        if other is not None and other.host != self.beat.host:
            self._watch(other)
        self._write()
        if other is not None and other.host != self.beat.host:
            self.ended.wait(self.every)  # somebody may have watched as long as we have: the last one to write has it
            if not self.ours():
                raise TakenError(self._taken())
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended.set()
        self.thread.join()
        with self.lock, suppress(OSError):
            if self.ours():
                (self.folder / FILE).unlink(missing_ok=True)

    def progress(self, phase: str, share: float, note: str = "") -> None:
        """A phase, the finished share of it, and how it goes; see `Progress`."""
        now = time.monotonic()
        with self.lock:
            begins = phase != self.beat.phase
            if begins:
                self.clock, self.first = now, share
            passed, made = now - self.clock, share - self.first
            left = passed * (1 - share) / made if made > 0 else None
            self.beat = replace(self.beat, phase=phase, share=share, note=note, phase_seconds=passed, left_seconds=left)
            if begins:
                self._write_quietly()
        self.tell(phase, share, note)

    def ours(self) -> bool:
        """Whether nobody has taken the run over; to be asked before a result is written."""
        found = Beat.read(self.folder)
        return found is None or found.token == self.beat.token

    def require(self) -> None:
        """Refuse to go on with a run that somebody has taken over.

        Raises:
            TakenError: With who has it.
        """
        if not self.ours():
            raise TakenError(self._taken())

    def _taken(self) -> str:
        by = Beat.read(self.folder) or "another process"
        return f"run {self.folder.name} was taken over by {by}, since this one had not been heard of"

    def _watch(self, other: Beat) -> None:
        """Wait until the counter of another machine has stood still for long enough."""
        begun = time.monotonic()
        while time.monotonic() - begun < self.still:
            self.ended.wait(min(self.every, self.still) / 2)
            now = Beat.read(self.folder)
            if now is None:
                return
            if (now.token, now.count) != (other.token, other.count):
                raise TakenError(f"{now} is at work on run {self.folder.name}; wait until it has finished")

    def _work(self) -> None:
        while not self.ended.wait(self.every):
            with self.lock:
                if self.ended.is_set():
                    return
                if not self.ours():
                    self.ended.set()
                    break
                self._write_quietly()
        else:
            return
        self.lost()

    def _write(self) -> None:
        self.beat = replace(self.beat, count=self.beat.count + 1)
        write_json(self.folder / FILE, asdict(self.beat))

    def _write_quietly(self) -> None:
        if self.ours():
            with suppress(OutputError):  # a full disk ends what computes, not what tells of it
                self._write()
