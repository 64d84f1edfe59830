"""`Marks`: which blocks of a reconstruction are finished, so that a killed one goes on, and what their files hold."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Sums = Mapping[str, int | None]
"""Checksums by the name of a file; None for one that is not there."""


class Marks:
    """A log with a line for every finished block. Lines that are cut off, empty or damaged do not count.

    Args:
        path: Of the log; begun anew if it belongs to another plan.
        plan: Digest of all that decides which bytes a block has.
    """

    def __init__(self, path: Path, plan: str) -> None:
        self.path, self.plan = path, plan
        lines = _lines(path)
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")  # what follows is a line of its own
        self.fresh = not lines or lines[0] != plan
        self.finished: dict[int, Sums] = {} if self.fresh else dict(lines[1:])

    def begin(self) -> None:
        """Forget all blocks."""
        self.finished = {}
        self.path.unlink(missing_ok=True)
        self._append(self.plan)

    def keep(self, *numbers: int) -> None:
        """Forget all other blocks."""
        kept = {number: self.finished[number] for number in numbers}
        if len(kept) == len(self.finished):
            return
        self.begin()
        for number, sums in kept.items():
            self.add(number, sums)

    def add(self, number: int, sums: Sums) -> None:
        """A block is finished; its files have reached the disk."""
        self.finished[number] = sums
        self._append([number, dict(sums)])

    def _append(self, fact: Any) -> None:
        known = zlib.crc32(json.dumps(fact).encode())
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([fact, known]) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _lines(path: Path) -> list[Any]:
    """Facts of the undamaged lines of a log."""
    facts = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            fact, known = json.loads(line)
        except (ValueError, TypeError):
            continue
        if zlib.crc32(json.dumps(fact).encode()) == known:
            facts.append(fact)
    return facts
