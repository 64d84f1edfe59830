"""`Damage`: sections of a stack that no method mends, and that would pass into what is made of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.displaced import displaced_sections
from vemrecon.data.inspect import (
    LEAST_SIGMA,
    MAD_TO_SIGMA,
    SIGMAS,
    Inspection,
    inspect_volume,
    inspection_of,
    sections_text,
)
from vemrecon.errors import DataError
from vemrecon.kept import read_mark, write_mark
from vemrecon.progress import Progress
from vemrecon.volume import Volume

LEAST_CHANGE = 0.04  # of the grey levels that occur; smaller ones are tissue
SHOWN = 12
MATCH = "match the contrast of sections first, as no method does"


@dataclass(frozen=True)
class Damage:
    """What is wrong with sections, each with its reason."""

    not_finite: tuple[int, ...]
    constant: Mapping[int, str]
    outlying: Mapping[int, str]
    """Sections that are brighter or of other contrast than those beside them."""
    steps: Mapping[int, str]
    """Sections with which brightness or contrast change for good."""
    displaced: Mapping[int, tuple[int, int]]
    """Pixels (y, x) against the section before."""

    @classmethod
    def of(cls, volume: Volume, found: Inspection, displaced: Mapping[int, tuple[int, int]]) -> Damage:
        """From what two passes over a volume have found."""
        outlying, steps = _departures(found)
        return cls(found.not_finite, found.constant, outlying, steps, displaced)

    @property
    def unfit(self) -> frozenset[int]:
        """Sections that do not show tissue as those beside them do, from which nothing should be learned."""
        return frozenset({*self.not_finite, *self.constant, *self.outlying})

    def warnings(self, filled: Collection[int] = ()) -> Iterator[str]:
        """A line for each kind, with what to do; constant sections that are filled anyway are passed over."""
        if constant := {z: reason for z, reason in self.constant.items() if z not in filled}:
            yield (
                f"{sections_text(tuple(constant))}: {_kinds(constant)}, and so is what is made of them; --method "
                f"isovem-plus with --missing-sections auto fills them"
            )
        yield from self._departing()

    def learned(self) -> Iterator[str]:
        """A line for each kind where methods learn from the sections as they are, with what to do."""
        if self.constant:
            yield (
                f"{sections_text(tuple(self.constant))}: {_kinds(self.constant)}, and learned from; leave them out of "
                f"the region of the split"
            )
        yield from self._departing()

    def behind(self, first: int) -> Damage:
        """The same sections, counted from one that lies `first` sections before."""

        def moved(sections: Mapping[int, Any]) -> dict[int, Any]:
            return {z + first: fact for z, fact in sections.items()}

        lost = tuple(z + first for z in self.not_finite)
        return Damage(lost, *map(moved, (self.constant, self.outlying, self.steps, self.displaced)))

    def _departing(self) -> Iterator[str]:
        if self.outlying:
            yield f"{sections_text(tuple(self.outlying))}: {_reason(self.outlying)}; {MATCH}"
        if self.steps:
            yield f"{sections_text(tuple(self.steps))}: {_reason(self.steps)}; {MATCH}"
        if self.displaced:
            moves = moves_text(self.displaced)
            yield f"displaced against the section before (pixels y x): {moves}; align them first, as no method does"


def examined(volume: Volume, progress: Progress) -> tuple[Inspection, Damage]:
    """Read a volume twice, and say what is wrong with it; memory does not grow with its size.

    Raises:
        DataError: If the file is damaged.
    """
    found = inspect_volume(volume, lambda share: progress("grey levels", share))
    displaced = displaced_sections(volume, lambda share: progress("alignment", share))
    return found, Damage.of(volume, found, displaced)


def damage_of(digest: str, volume: Volume, memory: Path) -> Damage:
    """What is wrong with a volume, remembered so that it is read once.

    Args:
        digest: Identity of the content.
        volume: Read only if nothing is remembered.
        memory: See `inspection_of`.
    """
    path = memory / "inspections" / f"{digest[:12]}-displaced.json"
    found = inspection_of(digest, volume, memory)
    try:
        known = read_mark(path)
        if known["digest"] == digest:
            return Damage.of(volume, found, {int(z): (int(y), int(x)) for z, y, x in known["displaced"]})
    except (DataError, KeyError, TypeError, ValueError):
        pass  # not looked for yet, or a file of another version
    displaced = displaced_sections(volume)
    write_mark(path, {"digest": digest, "displaced": [[z, *shift] for z, shift in displaced.items()]})
    return Damage.of(volume, found, displaced)


def moves_text(displaced: Mapping[Any, Sequence[int]]) -> str:
    """Sections and their shifts for a message."""
    moves = [f"{z} by {y} {x}" for z, (y, x) in displaced.items()]
    return f"{', '.join(moves[:SHOWN])}{' ...' if len(moves) > SHOWN else ''}"


def _kinds(sections: Mapping[int, str]) -> str:
    return ", ".join(sorted(set(sections.values())))


def _reason(sections: Mapping[int, str]) -> str:
    first = next(iter(sections.values()))
    return first if len(sections) == 1 else f"such as {first}"


def _departures(found: Inspection) -> tuple[dict[int, str], dict[int, str]]:
    """Sections that depart from those beside them, and sections from which on a stack is another."""
    there = [z for z in range(len(found.means)) if z not in found.constant]
    low, high = found.grey_range
    alone: dict[int, str] = {}
    steps: dict[int, str] = {}
    for name, column in (("mean", found.means), ("contrast", found.deviations)):
        values = np.asarray([column[z] for z in there])
        for n, lasting in _jumps(values, high - low):
            if lasting:
                steps.setdefault(there[n], f"{name} steps from {values[n - 1]:.4g} to {values[n]:.4g}")
            else:
                beside = values[n - 1 if n else n + 1]
                alone.setdefault(there[n], f"{name} {values[n]:.4g} beside {beside:.4g}")
    return dict(sorted(alone.items())), {z: steps[z] for z in sorted(steps) if not {z - 1, z} & set(alone)}


def _jumps(values: NDArray[np.float64], levels: float) -> Iterator[tuple[int, bool]]:
    """Sections whose value is far from that of the one before, and whether the next ones stay there."""
    changes = np.diff(values)
    if len(changes) < 2:
        return
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(changes))), LEAST_SIGMA * levels)
    far = np.abs(changes) > max(SIGMAS * sigma, LEAST_CHANGE * levels)
    n = 0
    while n < len(changes):
        if far[n]:
            back = n + 1 < len(changes) and far[n + 1] and changes[n] * changes[n + 1] < 0
            at_end = n in (0, len(changes) - 1)
            yield (0 if n == 0 and not back else n + 1), not (back or at_end)
            n += back
        n += 1
