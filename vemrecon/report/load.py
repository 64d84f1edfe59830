"""Finding the results in a run store, and refusing those that cannot be shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from vemrecon.bench.result import RunResult
from vemrecon.errors import DataError
from vemrecon.files import canonical_json

Run = tuple[Path, RunResult]
"""The folder of a run and what it left behind."""

STATUSES = ("done", "declined", "failed", "interrupted")
TASK_FIELDS = ("dataset", "split", "kind", "axis")
SCORE_FIELDS = ("metric", "variant", "plane", "range", "block")


def load_results(runs: Path) -> list[Run]:
    """All readable results below `runs/<task>/<method>-<run_id>/`, sorted by folder."""
    return read_runs(runs)[0]


def read_runs(runs: Path) -> tuple[list[Run], list[str]]:
    """Readable results, and one warning line for everything that could not be read."""
    found: list[Run] = []
    warnings: list[str] = []
    for path in sorted(runs.glob("*/*/result.json")):
        name = path.relative_to(runs).as_posix()
        try:
            found.append((path.parent, RunResult.read(path)))
        except (DataError, OSError, TypeError) as error:
            warnings.append(f"{name} is left out: {str(error).replace(f'{path}: ', '')}")
    waiting = [path for path in runs.glob("*/*/spec.json") if not path.with_name("result.json").exists()]
    if waiting:
        warnings.append(f"{len(waiting)} started run(s) have no result yet and are not shown")
    kept, more = usable(found, runs)
    return kept, warnings + more


def usable(results: Iterable[Run], runs: Path) -> tuple[list[Run], list[str]]:
    """Keep the results that can be shown; every run id counts once."""
    kept: list[Run] = []
    warnings: list[str] = []
    seen: dict[str, str] = {}
    for folder, result in results:
        name = folder.relative_to(runs).as_posix() if folder.is_relative_to(runs) else folder.name
        try:
            check(result)
        except DataError as error:
            warnings.append(f"{name} is left out: {error}")
            continue
        if result.run_id in seen:
            warnings.append(f"{name} is left out: run {result.run_id} is already there as {seen[result.run_id]}")
            continue
        seen[result.run_id] = name
        kept.append((folder, result))
    return kept, warnings


def check(result: RunResult) -> None:
    """Look at the shape of a result, so that everything after this can rely on it.

    Raises:
        DataError: If a field that a table needs is missing or of another kind.
    """
    for name in ("spec", "card", "costs", "environment", "artifacts"):
        _need(isinstance(getattr(result, name), Mapping), f"'{name}' is not a mapping")
    task, method = result.spec.get("task"), result.spec.get("method")
    if not isinstance(task, Mapping) or not isinstance(method, Mapping):
        raise DataError("'spec' has no task or no method")
    _need(all(isinstance(task.get(key), str) for key in TASK_FIELDS), f"'spec.task' needs {', '.join(TASK_FIELDS)}")
    _need((number(task.get("scale")) or 0) > 0, "'spec.task.scale' is not a positive number")
    degradation = task.get("degradation") or {}
    _need(isinstance(degradation, Mapping), "'spec.task.degradation' is not a mapping")
    _need(isinstance(degradation.get("arguments") or {}, Mapping), "'spec.task.degradation.arguments' is not a mapping")
    _need(isinstance(method.get("name"), str), "'spec.method.name' is missing")
    _need(isinstance(method.get("arguments") or {}, Mapping), "'spec.method.arguments' is not a mapping")
    _need(isinstance(result.run_id, str) and isinstance(result.reason, str), "'run_id' or 'reason' is not a text")
    try:
        canonical_json(result.spec)
    except ValueError as error:
        raise DataError(f"'spec' cannot be written as JSON ({error})") from error
    _need(result.status in STATUSES, f"unknown status {result.status!r}")
    for score in result.scores:
        texts = isinstance(score, Mapping) and all(isinstance(score.get(key), str) for key in SCORE_FIELDS)
        _need(texts, f"a score needs {', '.join(SCORE_FIELDS)}")


def _need(condition: bool, problem: str) -> None:
    if not condition:
        raise DataError(problem)


def number(value: Any) -> float | None:
    """The value if it is a finite number, else None.

    >>> number(3), number(float("nan")), number("3"), number(True)
    (3, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def artifact(folder: Path, result: RunResult, name: str) -> Path | None:
    """Path of an artifact that exists inside the run's own folder, else None."""
    relative = result.artifacts.get(name)
    if not isinstance(relative, str) or not relative:
        return None
    parts = PurePosixPath(relative)
    path = folder / relative
    return path if not parts.is_absolute() and ".." not in parts.parts and path.is_file() else None
