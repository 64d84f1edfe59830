"""The run store: folders of runs, and their states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.errors import DataError, VemreconError
from vemrecon.files import write_json

PLANNED: Final = "planned"
RunState = Status | Literal["planned"]
"""How a run ended, or that it has no result yet."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path
    spec: RunSpec

    @classmethod
    def of(cls, spec: RunSpec, runs: Path) -> RunFolder:
        """The folder of a specification, which need not exist."""
        return cls(spec.folder(runs), spec)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A folder that exists.

        Raises:
            DataError: If it holds no run.
        """
        if not (path / "spec.json").exists():
            raise DataError(f"{path}: not a run folder (it has no spec.json)")
        return cls(path, RunSpec.read(path / "spec.json"))

    def create(self) -> None:
        """Make the folder and write its specification."""
        write_json(self.path / "spec.json", self.spec.as_dict())

    @property
    def observed(self) -> Path:
        """The observed volume, shared by all runs of the task."""
        return self.path.parent / f"observed-{self.spec.task_id}.zarr"

    @property
    def shared_stages(self) -> Path:
        """Stages of trainings that runs of the task have in common."""
        return self.path.parent / "shared-stages"

    def result(self) -> RunResult | None:
        """The result, if there is one that can be read."""
        path = self.path / "result.json"
        try:
            return RunResult.read(path) if path.exists() else None
        except DataError:
            return None

    def state(self) -> RunState:
        """Where the run stands."""
        result = self.result()
        if result is None:
            return Status.INTERRUPTED if (self.path / "spec.json").exists() else PLANNED
        if result.status == Status.DONE and not set(self.spec.metrics) <= set(result.spec.metrics):
            return PLANNED  # a metric was added: score again
        return result.status

    def write_result(self, status: Status, **facts: Any) -> RunResult:
        """Write result.json, the file that ends a run."""
        result = RunResult(self.spec.run_id, self.spec, status, **facts)
        result.write(self.path / "result.json")
        return result


def run_folders(runs: Path) -> Iterator[RunFolder]:
    """Every run below a folder, in name order."""
    for spec in sorted(runs.glob("*/*/spec.json")):
        try:
            yield RunFolder.open(spec.parent)
        except VemreconError:
            continue  # `status` and `report` name unreadable folders themselves
