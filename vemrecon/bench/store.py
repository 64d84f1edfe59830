"""The run store: folders of runs, their states, and who may write them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.errors import ConfigError, DataError, VemreconError
from vemrecon.files import output_error, write_json

PLANNED: Final = "planned"
State = Status | Literal["planned"]
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

    def state(self) -> State:
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


@contextmanager
def exclusive(path: Path, what: str, patience: float = 0) -> Iterator[None]:
    """Hold a lock file; the operating system frees it when the process ends, however it ends.

    Raises:
        ConfigError: If somebody else holds it for longer than `patience` seconds.
    """
    from filelock import FileLock, Timeout

    owner = path.with_suffix(".owner")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=patience)
    except Timeout as error:
        holder = owner.read_text(encoding="utf-8").strip() if owner.exists() else "another process"
        raise ConfigError(f"{what} is in use by {holder}; wait until it has finished, or use another folder") from error
    except OSError as error:
        raise output_error(path.parent, error) from error
    try:
        with suppress(OSError):  # only for the message above; a full disk must not hide the real one
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
