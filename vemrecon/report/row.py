"""`Row`: one method of a table, and what its runs have kept beside their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vemrecon.bench.levels import LEVELS, SUBMISSION, VERIFICATION
from vemrecon.bench.result import Deviating, RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.errors import DataError
from vemrecon.files import read_json, recalled
from vemrecon.report.cells import Cell
from vemrecon.report.load import Run, artifact
from vemrecon.report.pictures import Sections, load_sections


@dataclass(frozen=True)
class Kept:
    """Files that a run keeps for the page; read when they are asked for, and once."""

    folder: Path
    result: RunResult

    @cached_property
    def _curves(self) -> tuple[Mapping[str, Any], str]:
        path = artifact(self.folder, self.result, "curves")
        if path is None:
            return {}, ""
        try:
            found = read_json(path)
            return (found, "") if isinstance(found, Mapping) else ({}, "curves: not what a run leaves")
        except (DataError, OSError) as error:
            return {}, str(error).replace(str(path), "curves")

    @property
    def curves(self) -> Mapping[str, Any]:
        """What explains the scores; empty if nothing is there that can be read."""
        return self._curves[0]

    @cached_property
    def _sections(self) -> tuple[Sections | None, str]:
        path = artifact(self.folder, self.result, "sections")
        if path is None:
            return None, ""
        try:
            return load_sections(path), ""
        except DataError as error:
            return None, str(error)

    @property
    def sections(self) -> Sections | None:
        """Sections of truth, observed volume and reconstruction."""
        return self._sections[0]

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each file that cannot be read."""
        return tuple(problem for problem in (self._curves[1], self._sections[1]) if problem)


@dataclass(frozen=True)
class Row:
    """One method variant on one task, all its seeds together; or the seeds that ended in the same other way."""

    label: str
    """Unique in the table."""
    regime: str
    status: Status
    reason: str
    runs: tuple[Run, ...]
    """Sorted by seed; the first one stands for the row where only one can be shown."""
    cells: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)
    """Cells by range and column key."""

    @cached_property
    def level(self) -> str:
        """How far it was verified, the least of its runs; empty if it was not handed in."""
        found = []
        for folder, result in self.runs:
            if SUBMISSION in result.artifacts:
                path = artifact(folder, result, VERIFICATION)
                level = recalled(path).get("level") if path else None
                found.append(level if level in LEVELS else LEVELS[0])
        return min(found, key=LEVELS.index) if found else ""

    @cached_property
    def kept(self) -> Kept:
        """What the first run has kept."""
        return Kept(*self.runs[0])

    @property
    def done(self) -> bool:
        """Whether it has scores."""
        return self.status == Status.DONE

    @property
    def kernel(self) -> bool:
        """Whether it is a kernel that has scores."""
        card = self.runs[0][1].card
        return self.done and card is not None and card.kernel

    @property
    def results(self) -> tuple[RunResult, ...]:
        """What its runs have left behind."""
        return tuple(result for _, result in self.runs)

    @property
    def contaminated(self) -> bool:
        """Whether its method learned from what is scored: it is shown, but neither ranked nor a winner of anything."""
        return self.spec.contaminated

    @property
    def random(self) -> bool:
        """Whether its scores depend on the seed."""
        card = self.runs[0][1].card
        return card is not None and bool(card.random)

    @property
    def one_seed(self) -> bool:
        """Whether it is a random method that ran once, so that nobody knows how far its scores vary."""
        return self.done and len(self.runs) == 1 and self.random

    @property
    def spec(self) -> RunSpec:
        """Specification of the first run."""
        return self.runs[0][1].spec

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.spec.method.name

    @property
    def preset(self) -> str:
        """Name of the preset."""
        return self.spec.preset

    @property
    def deviations(self) -> tuple[Deviating, ...]:
        """Where its preset differs from what it is named after."""
        return self.runs[0][1].preset_facts.deviations

    @property
    def seeds(self) -> str:
        """Seeds and, if there are several, their number."""
        seeds = [str(result.spec.seed) for _, result in self.runs]
        return ", ".join(seeds) + (f" (n = {len(seeds)})" if len(seeds) > 1 else "")
