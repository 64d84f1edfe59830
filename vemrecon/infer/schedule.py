"""`Schedule`: what can be made now, by whoever asks, and what is still missing for the rest."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from vemrecon.infer.tiles import TilePlan


@dataclass(frozen=True)
class Unit:
    """Something that one worker makes at a time.

    Attributes:
        kind: A `block` is a file of the output; a `part` is what the tiles of a block contribute to it and to the
            blocks around it, where tiles are blended.
        number: Of the block.
    """

    kind: Literal["block", "part"]
    number: int


class Schedule:
    """Hands out what can be made; a blended block waits for the parts of its neighbours. Threads may share it.

    Args:
        plan: Of the reconstruction.
        blocks: Those that are finished.
        parts: Those that are finished.
    """

    def __init__(self, plan: TilePlan, blocks: Collection[int], parts: Collection[int]) -> None:
        self.plan, self.changed = plan, threading.Condition()
        self.blocks, self.parts, self.stopped = set(blocks), set(parts), False
        unfinished = [n for n in range(len(plan.blocks())) if n not in self.blocks]
        self.left, self.out = set(unfinished), 0
        self.waiting: dict[int, set[int]] = {}
        if plan.blended:
            beside = {n: set(plan.neighbours(n)) for n in unfinished}
            needed = sorted(set(itertools.chain.from_iterable(beside.values())) - self.parts)
            self.waiting = {n: around - self.parts for n, around in beside.items()}
            self.ready = deque(Unit("part", n) for n in needed)
            self.ready.extendleft(Unit("block", n) for n in reversed(unfinished) if not self.waiting[n])
        else:
            self.ready = deque(Unit("block", n) for n in unfinished)

    def take(self) -> Unit | None:
        """Something to make; None if nothing can be made now."""
        with self.changed:
            if self.stopped or not self.ready:
                return None
            self.out += 1
            return self.ready.popleft()

    def wait(self) -> Unit | None:
        """Something to make, if need be when another worker has finished what it needs; None when all is taken."""
        with self.changed:
            self.changed.wait_for(lambda: self.ready or self.stopped or self.out == 0)
        return self.take()

    def give_back(self, unit: Unit) -> None:
        """It was not made; another worker will."""
        with self.changed:
            self.out -= 1
            self.ready.appendleft(unit)
            self.changed.notify_all()

    def done(self, unit: Unit) -> list[int]:
        """It is made; gives the numbers of the parts that nobody needs any more."""
        with self.changed:
            self.out -= 1
            if unit.kind == "part":
                self.parts.add(unit.number)
                for number in self.plan.neighbours(unit.number):
                    if number in self.waiting and unit.number in self.waiting[number]:
                        self.waiting[number].discard(unit.number)
                        if not self.waiting[number]:
                            self.ready.appendleft(Unit("block", number))
                free = []
            else:
                self.blocks.add(unit.number)
                self.left.discard(unit.number)
                around = self.plan.neighbours(unit.number) if self.plan.blended else ()
                free = [n for n in around if not self.left & set(self.plan.neighbours(n))]
            self.changed.notify_all()
            return free

    def stop(self) -> None:
        """Something went wrong; nobody gets anything any more."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
