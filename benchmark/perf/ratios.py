"""What a row of the table is, and how two things are timed against each other.

A row is a function with `@row`, in any file `rows_*.py` beside this one; nothing else has to be told of it. It gives
the seconds of our code and of its baseline, and how much their results differ.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """What was measured.

    Attributes:
        ours: Seconds of our code, or another amount of which less is better.
        baseline: The same of what it is compared with.
        difference: Between the results, as text; empty where they are not comparable.
    """

    ours: float
    baseline: float
    difference: str = ""

    @property
    def value(self) -> float:
        """How many times faster than the baseline; 1 where they are equally fast."""
        return self.baseline / self.ours


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    what: str
    baseline: str
    measure: Callable[[], Ratio]
    needs: tuple[str, ...] = ()

    @property
    def obstacle(self) -> str:
        """Why it cannot be measured here; empty if it can."""
        for package in self.needs:
            try:
                version(package)
            except PackageNotFoundError:
                return f"{package} is not installed"
        return ""


ROWS: dict[str, Row] = {}


def row(name: str, what: str, baseline: str, *needs: str) -> Callable[[Callable[[], Ratio]], Callable[[], Ratio]]:
    """Make a function a row.

    Args:
        name: In one word, for the command line.
        what: Our code, and what it works on.
        baseline: What it is compared with.
        needs: Packages that must be installed.
    """

    def add(measure: Callable[[], Ratio]) -> Callable[[], Ratio]:
        ROWS[name] = Row(name, what, baseline, measure, needs)
        return measure

    return add


def in_turns(ours: Callable[[], Any], baseline: Callable[[], Any], rounds: int = 5) -> tuple[float, float]:
    """Median seconds of two things that are done in turns, so that whatever else the machine does slows down both.

    Each is done once before, for what it loads and compiles.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for times, do in zip(taken, (ours, baseline), strict=True):
            clock = time.perf_counter()
            do()
            if number or rounds == 1:
                times.append(time.perf_counter() - clock)
    return statistics.median(taken[0]), statistics.median(taken[1])
