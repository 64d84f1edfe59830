"""Finding the results in a run store or in the file of a leaderboard, and refusing those that cannot be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from vemrecon.bench.result import RunResult
from vemrecon.bench.schema1 import board_results
from vemrecon.errors import DataError
from vemrecon.files import read_json
from vemrecon.report.block_scores import scores_of_blocks

Run = tuple[Path, RunResult]
"""The folder of a run and what it left behind."""

BOARD_SCHEMA = 2
"""Of leaderboard.json; older files are read too."""


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
        except (DataError, OSError) as error:
            warnings.append(f"{name} is left out: {str(error).replace(f'{path}: ', '')}")
    waiting = [path for path in runs.glob("*/*/spec.json") if not path.with_name("result.json").exists()]
    if waiting:
        warnings.append(f"{len(waiting)} started run(s) have no result yet and are not shown")
    kept, more = once(found, runs)
    return kept, warnings + more


def once(results: Iterable[Run], runs: Path) -> tuple[list[Run], list[str]]:
    """Results without doubles: every run id counts once."""
    kept: list[Run] = []
    warnings: list[str] = []
    seen: dict[str, str] = {}
    for folder, result in results:
        name = folder.relative_to(runs).as_posix() if folder.is_relative_to(runs) else folder.name
        if result.run_id in seen:
            warnings.append(f"{name} is left out: run {result.run_id} is already there as {seen[result.run_id]}")
            continue
        seen[result.run_id] = name
        kept.append((folder, result))
    return kept, warnings


def read_board(path: Path) -> list[Run]:
    """The results behind a leaderboard.json, of this schema or an older one; without pictures and curves.

    Raises:
        DataError: If the file is no leaderboard, or was written by a newer version.
    """
    board = read_json(path)
    try:
        if not isinstance(board, Mapping) or not isinstance(board["schema"], int):
            raise TypeError("no schema")
        if board["schema"] > BOARD_SCHEMA:
            raise DataError(f"written by a newer vemrecon (schema {board['schema']}); upgrade to read it")
        found = board_results(board) if board["schema"] < BOARD_SCHEMA else _results(board)
        return [(path.parent / "runs" / result["run_id"], RunResult.from_dict(result)) for result in found]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not a leaderboard ({error!r})") from error


def _results(board: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Results with the scores of evaluation blocks that the file has; those of earlier versions have none.

    Every run once: those without training also stand in the tables of tracks.
    """
    runs = {
        run["run_id"]: {**run, **_references(run, task)}
        for task in board["tasks"]
        for row in task["rows"]
        for run in row["runs"]
    }
    return [{**run, "scores": [*run["scores"], *scores_of_blocks(run.get("blocks", ()))]} for run in runs.values()]


def _references(run: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """What references of its task score, which a leaderboard keeps once; of an older schema there is nothing."""
    found = {reference["label"]: reference["scores"] for reference in task.get("references", ())}
    return {"references": found} if found else {}


def artifact(folder: Path, result: RunResult, name: str) -> Path | None:
    """Path of an artifact that exists inside the run's own folder, else None."""
    relative = result.artifacts.get(name)
    if not isinstance(relative, str) or not relative:
        return None
    parts = PurePosixPath(relative)
    path = folder / relative
    return path if not parts.is_absolute() and ".." not in parts.parts and path.is_file() else None
