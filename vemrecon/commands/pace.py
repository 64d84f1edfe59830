"""`Pace`: how fast a phase of long work goes, and how long it will still take."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from vemrecon.report.columns import count_text, seconds_text

SHORTEST = 1.0  # seconds from which a rate is known
QUICK = 0.2  # seconds; steps that take less count together
RECENT = 60.0  # seconds that the rate is that of: later parts may be slower than the first ones
LEAST = 8  # steps that the rate is that of at least, where they take longer
LEAP = 8.0  # times as fast as all that comes after: this was found, not made
AFTER = 2  # steps that tell so; a single slow one may have waited for a block to be written


class Pace:
    """Follows the shares that are told of one phase after the other.

    Attributes:
        phase: What is being done.
        share: Of it, finished.
        rate: Share of the phase in a second, of what this process does itself; None while it is not known.
        voxels: How many voxels the phases make of which that is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.phase, self.share = "", 0.0
        self.rate: float | None = None
        self.voxels: Mapping[str, int] = {}
        self._last = 0.0
        self._steps: deque[tuple[float, float]] = deque()  # seconds, and the share that they have added

    def told(self, phase: str, share: float) -> bool:
        """Take notice of a share; gives whether a phase begins with it."""
        now = self.clock()
        begins = phase != self.phase or share < self.share
        if begins:
            self._steps.clear()
        else:
            self._step(now - self._last, share - self.share)
        self.phase, self.share, self._last = phase, share, now
        self.rate = _rate(self._steps)
        return begins

    def _step(self, seconds: float, share: float) -> None:
        if self._steps and (max(seconds, self._steps[-1][0]) < QUICK or not self._steps[-1][1]):
            before = self._steps.pop()
            seconds, share = seconds + before[0], share + before[1]
        self._steps.append((seconds, share))
        while len(self._steps) > LEAST and sum(s for s, _ in self._steps) - self._steps[0][0] > RECENT:
            self._steps.popleft()

    @property
    def seconds_left(self) -> float | None:
        """Until the phase ends, from now on; None while that is not known."""
        rate = self.rate
        return None if rate is None else max(0.0, (1 - self.share) / rate - (self.clock() - self._last))

    @property
    def voxels_total(self) -> int | None:
        """That the phase makes."""
        return self.voxels.get(self.phase)

    @property
    def voxels_done(self) -> int | None:
        """That are made, by earlier attempts too."""
        return None if self.voxels_total is None else round(self.share * self.voxels_total)

    @property
    def voxels_per_second(self) -> float | None:
        """That are made now."""
        total, rate = self.voxels_total, self.rate
        return None if total is None or rate is None else rate * total

    def __str__(self) -> str:
        """Speed and time left, as far as they are known.

        >>> pace = Pace(iter((0.0, 10.0, 10.0)).__next__)
        >>> pace.voxels = {"reconstruct": 5_000_000}
        >>> pace.told("reconstruct", 0.0), pace.told("reconstruct", 0.1), str(pace)
        (True, False, '50 k voxels/s, 90 s left')
        """
        speed, left = self.voxels_per_second, self.seconds_left
        facts = [f"{count_text(speed)} voxels/s" if speed is not None else ""]
        facts += [f"{seconds_text(left)} left" if left is not None else ""]
        return ", ".join(filter(None, facts))


def _rate(steps: Iterable[tuple[float, float]]) -> float | None:
    """Share in a second; steps that are far faster than all behind them do not count, as those that a restart finds."""
    moves = [(seconds, share) for seconds, share in steps if share > 0]
    fastest = 0.0
    for n in reversed(range(len(moves))):
        seconds, share = moves[n]
        if len(moves) - n > AFTER and share > LEAP * fastest * seconds:
            moves = moves[n + 1 :]
            break
        fastest = max(fastest, share / seconds if seconds else math.inf)
    total = sum(seconds for seconds, _ in moves)
    return sum(share for _, share in moves) / total if total >= SHORTEST else None
