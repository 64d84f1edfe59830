"""The run store: folders of runs, and their states."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from vemrecon.bench.heartbeat import Beat, TakenError
from vemrecon.bench.migration import NewerError
from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.errors import DataError, VemreconError
from vemrecon.files import output_error, write_json
from vemrecon.kept import set_aside

PLANNED: Final = "planned"
RUNNING: Final = "running"
"""Somebody is at work on it."""
STALE: Final = "stale"
"""It has a result, but what made it has changed since."""
NEWER: Final = "newer"
"""It has a result that a newer version has written; it is left alone."""
KEPT = ("spec.json", "job.json", "result.json", "log.txt", "lease", "lease.owner", "heartbeat.json")
"""What stays in the folder of a run that is done anew."""
RunState = Status | Literal["planned", "running", "stale", "newer"]
"""How a run ended, or where it stands."""


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
        """Make the folder and write its specification; a result that is damaged is moved aside.

        Raises:
            NewerError: If a newer version has written the result.
        """
        if self._leave_newer():
            set_aside(self.result_file, "the run is brought to its end again")
        write_json(self.path / "spec.json", self.spec.as_dict())

    def clear(self) -> None:
        """Remove what was trained and reconstructed, so that it is made anew; the result stays until there is another.

        Raises:
            OutputError: If it cannot be removed.
        """
        try:
            for path in self.path.iterdir() if self.path.exists() else ():
                if path.name not in KEPT:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise output_error(self.path, error) from error

    def _leave_newer(self) -> bool:
        """Refuse to touch a result of a newer version; gives whether there is one that is damaged."""
        try:
            RunResult.read(self.result_file)
        except NewerError:
            raise
        except DataError:
            return self.result_file.exists()
        return False

    def mend(self) -> None:
        """Write the specification of a run again that is there, if it is damaged.

        Raises:
            OutputError: If it cannot be written.
        """
        file = self.path / "spec.json"
        if not file.exists():
            return
        try:
            RunSpec.read(file)
        except DataError:
            set_aside(file, "written again")
            write_json(file, (self.result() or self).spec.as_dict())

    @property
    def result_file(self) -> Path:
        """What ends a run."""
        return self.path / "result.json"

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
        try:
            return RunResult.read(self.result_file)
        except DataError:
            return None

    def state(self) -> RunState:
        """Where the run stands; `changes.py` says whether it is stale."""
        if Beat.at_work(self.path):
            return RUNNING
        try:
            result = RunResult.read(self.result_file)
        except NewerError:
            return NEWER
        except DataError:
            return Status.INTERRUPTED if (self.path / "spec.json").exists() else PLANNED
        if result.status == Status.DONE and not result.scored_as(self.spec):
            return PLANNED  # a metric was added, or computes other values now: score again
        return result.status

    def write_result(self, status: Status, **facts: Any) -> RunResult:
        """Write result.json, the file that ends a run.

        Raises:
            TakenError: If somebody else is at work on the run, having taken it over.
            NewerError: If there is a result that a newer version has written.
        """
        if (beat := Beat.at_work(self.path)) and not beat.mine:
            raise TakenError(f"{self.path.name}: {beat} is at work on it; the result of this process is left out")
        self._leave_newer()
        result = RunResult(self.spec.run_id, self.spec, status, **facts)
        result.write(self.result_file)
        return result


def run_folders(runs: Path) -> Iterator[RunFolder]:
    """Every run below a folder whose specification can be read, in name order; see `unreadable_folders`."""
    for spec in sorted(runs.glob("*/*/spec.json")):
        try:
            yield RunFolder.open(spec.parent)
        except VemreconError:
            continue


def unreadable_folders(runs: Path) -> Iterator[tuple[Path, str]]:
    """Folders of runs whose specification cannot be read, with the reason."""
    for spec in sorted(runs.glob("*/*/spec.json")):
        try:
            RunSpec.read(spec)
        except (VemreconError, OSError) as error:
            yield spec.parent, str(error).removeprefix(f"{spec}: ")
