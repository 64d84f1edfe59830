"""Ranks that say what is known of them: "2-4" is a method that is shown to be worse than one and better than others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vemrecon.statistics.paired import Tested

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Rank:
    """First and last place that a method may have."""

    best: int
    worst: int
    tied: tuple[int, ...] = ()
    """Numbers of the methods that it is not told apart from."""

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


def ranks(badness: Sequence[float], tests: Mapping[tuple[int, int], Tested]) -> tuple[Rank, ...]:
    """The rank of every method.

    Its best place is one behind all methods that are shown to be better, its worst place is before all that are shown
    to be worse.

    >>> better, alike = Tested(0.01, 0.01), Tested(0.04, 0.4)
    >>> [str(rank) for rank in ranks([1.0, 2.0, 2.1], {(0, 1): better, (0, 2): better, (1, 2): alike})]
    ['1', '2-3', '2-3']

    Args:
        badness: Of every method; smaller is better.
        tests: By the numbers of two methods, the smaller one first.
    """
    count = len(badness)
    better, worse, tied = [0] * count, [0] * count, [list[int]() for _ in range(count)]
    for (a, b), test in tests.items():
        if test.adjusted > SIGNIFICANT or badness[a] == badness[b]:
            tied[a].append(b)
            tied[b].append(a)
            continue
        winner, loser = (a, b) if badness[a] < badness[b] else (b, a)
        worse[winner] += 1
        better[loser] += 1
    return tuple(Rank(1 + better[n], count - worse[n], tuple(tied[n])) for n in range(count))
