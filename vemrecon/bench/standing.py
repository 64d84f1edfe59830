"""`Standing`: where a run stands, with all that a person or a program may want to know of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vemrecon.bench.changes import changed_since
from vemrecon.bench.heartbeat import Beat, age
from vemrecon.bench.migration import NewerError
from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.store import NEWER, PLANNED, RUNNING, STALE, RunFolder, run_folders, unreadable_folders
from vemrecon.errors import DataError

UNREADABLE: Final = "unreadable"
LOGGED = (Status.FAILED, Status.TIMED_OUT, Status.OUT_OF_MEMORY, Status.INTERRUPTED)
"""States whose log tells more."""


@dataclass(frozen=True)
class Standing:
    """One run; None where something is not known."""

    path: str
    state: str
    """A `RunState`, or `unreadable`."""
    reason: str = ""
    """Of the state, and what to do about it."""
    age_seconds: float | None = None
    """Since the last beat of a run at work, or since the run ended."""
    phase: str = ""
    share: float | None = None
    """Finished share of the phase."""
    note: str = ""
    left_seconds: float | None = None
    """Until the phase ends."""
    who: str = ""
    """The process that is at work."""
    log: str = ""
    task: str = ""
    method: str = ""
    preset: str = ""
    seed: int | None = None
    run_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def standings(runs: Path) -> Iterator[Standing]:
    """Every run below a folder in name order, then the folders that cannot be read."""
    for folder in run_folders(runs):
        yield standing(folder)
    for path, reason in unreadable_folders(runs):
        cure = "`vemrecon bench` with the options of this run writes spec.json again; or remove the folder"
        yield Standing(str(path), UNREADABLE, f"spec.json: {reason}; {cure}")


def standing(folder: RunFolder) -> Standing:
    """Where a run stands."""
    beat, log = Beat.read(folder.path), folder.path / "log.txt"
    state, reason = _state(folder)
    facts: dict[str, Any] = {
        "task": folder.spec.task.slug,
        "method": folder.spec.method.name,
        "preset": folder.spec.preset,
        "seed": folder.spec.seed,
        "run_id": folder.spec.run_id,
        "log": str(log) if log.exists() and state in (*LOGGED, RUNNING) else "",
    }
    if beat is not None and state in (RUNNING, Status.INTERRUPTED):
        facts |= {"phase": beat.phase, "share": beat.share, "note": beat.note, "age_seconds": age(folder.path)}
    if beat is not None and state == RUNNING:
        facts |= {"who": str(beat), "left_seconds": beat.left_seconds}
    if "age_seconds" not in facts:
        facts["age_seconds"] = _age(folder.result_file)
    return Standing(str(folder.path), state, reason, **facts)


def _state(folder: RunFolder) -> tuple[str, str]:
    """State and reason."""
    if beat := Beat.at_work(folder.path):
        return RUNNING, f"by {beat}"
    try:
        result = RunResult.read(folder.result_file)
    except NewerError as error:
        return NEWER, f"{_short(error, folder.result_file)}; it is left alone"
    except DataError as error:
        if folder.result_file.exists():
            damage = f"result.json: {_short(error, folder.result_file)}"
            return Status.INTERRUPTED, f"{damage}; `vemrecon bench` makes it again"
        return Status.INTERRUPTED, "ended without a result; `vemrecon bench` goes on with it"
    if result.status != Status.DONE:
        return result.status, result.reason
    if reason := changed_since(folder):
        return STALE, f"{reason}; `--retry stale` does it again"
    if not result.scored_as(folder.spec):
        return PLANNED, "a metric was added or has changed; `vemrecon bench` scores it again"
    return Status.DONE, ""


def _short(error: DataError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _age(path: Path) -> float | None:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None
