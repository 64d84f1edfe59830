"""`Limits`: how long a run may take, in all and by part, and how much memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vemrecon.bench.executors.messages import PARTS
from vemrecon.bench.result import Status
from vemrecon.errors import ConfigError, unknown
from vemrecon.quantities import second_count

OFTEN = 1.0  # seconds between looks at the memory


@dataclass(frozen=True)
class Limits:
    """What a run may take; None and nothing where there is no limit.

    Attributes:
        seconds: Of one attempt; what earlier attempts took is not counted.
        parts: Seconds of one attempt by part of the run: observe, train, reconstruct, score.
        memory: Bytes in main memory of all processes of the run.
    """

    seconds: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and sys.platform != "linux":
            raise ConfigError("--memory: what several processes take together can only be watched on Linux")


def read_timeout(words: Sequence[Any]) -> tuple[float | None, dict[str, float]]:
    """Seconds in all, and by part.

    >>> read_timeout(["2h", "train=90min", "score=30"])
    (7200.0, {'train': 5400.0, 'score': 30.0})

    Raises:
        ConfigError: If a word is no time, or a part does not exist.
    """
    whole, parts = None, dict[str, float]()
    for word in map(str, words):
        part, equals, time_text = word.rpartition("=")
        if equals and part not in PARTS:
            raise unknown("part of a run in --timeout", part, PARTS)
        seconds = second_count("--timeout", time_text)
        if equals:
            parts[part] = seconds
        else:
            whole = seconds
    return whole, parts


class Watch:
    """Whether a run that is at work has taken too much.

    Args:
        limits: What it may take.
        group: Number of its group of processes.
        clock: In seconds.
    """

    def __init__(self, limits: Limits, group: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self.group, self.clock = limits, group, clock
        self.part = "start"
        self.started = self.entered = self.looked = clock()

    def enter(self, part: str) -> None:
        """A part begins."""
        self.part, self.entered = part, self.clock()

    def pause(self) -> float | None:
        """Seconds until the next look; None if nothing can happen."""
        now, ends = self.clock(), []
        if self.limits.seconds is not None:
            ends.append(self.started + self.limits.seconds - now)
        if self.part in self.limits.parts:
            ends.append(self.entered + self.limits.parts[self.part] - now)
        if self.limits.memory is not None:
            ends.append(self.looked + OFTEN - now)
        return max(0.0, min(ends)) if ends else None

    def over(self) -> tuple[Status, str] | None:
        """The limit that is passed, and what to do; None while there is none."""
        now, most = self.clock(), self.limits.parts.get(self.part)
        again = "go on with --retry"
        if self.limits.seconds is not None and now - self.started >= self.limits.seconds:
            said = f"took more than {self.limits.seconds:g} s (in {self.part})"
            return Status.TIMED_OUT, f"{said}; give --timeout more, and {again} timed-out"
        if most is not None and now - self.entered >= most:
            said = f"its part '{self.part}' took more than {most:g} s"
            return Status.TIMED_OUT, f"{said}; give --timeout {self.part}= more, and {again} timed-out"
        if self.limits.memory is not None and now - self.looked >= OFTEN:
            self.looked = now
            if (taken := memory_of(self.group)) > self.limits.memory:
                said = f"took {taken >> 20} MiB of memory in {self.part}, more than {self.limits.memory >> 20}"
                return Status.OUT_OF_MEMORY, f"{said}; give --memory more, and {again} out-of-memory"
        return None


def memory_of(group: int) -> int:
    """Bytes in main memory of all processes of a session; what several share counts once in all. On Linux only."""
    found = 0
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            words = (place / "stat").read_text().rpartition(")")[2].split()
            if int(words[3]) == group:  # the session
                found += _proportional(place)
        except (OSError, ValueError, IndexError):  # it has ended meanwhile
            continue
    return found


def _proportional(place: Path) -> int:
    """Bytes of a process, pages that it shares with others by its share of them."""
    try:
        for line in (place / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def killed_for_memory() -> int:
    """How often this machine, or the group of processes that this one belongs to, has ended a process because its
    memory was full; 0 where that is not counted."""
    found = 0
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        found += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return found
