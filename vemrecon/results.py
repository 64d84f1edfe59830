"""What Python sees of benchmarks: their scores, and comparisons of methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vemrecon.report.compare import Comparison


def compare(first: str, second: str, runs: Path | str = "runs", *, metric: str | None = None) -> list[Comparison]:
    """Two methods on the same blocks, on every task that both have finished; as `vemrecon compare`.

    The gain of a method is its comparison with the best kernel of a task: `found.difference`, and `found.interval` with
    its ends `low` and `high`.

    Args:
        first: A method, or a row of a table as it is labelled there.
        second: The other one; differences are first minus second.
        runs: Folder of runs, or the leaderboard.json of a report.
        metric: Name of a metric, or a column such as "psnr/xy"; the main score of each task if None.

    Returns:
        One for each task, in the order of the tables.

    Raises:
        DataError: If no task has both, one has no value, or a leaderboard cannot be read.
        ConfigError: If a name is unknown, or stands for several rows.
    """
    from vemrecon.report.compare import comparisons
    from vemrecon.report.leaderboard import build
    from vemrecon.report.load import load_results as read
    from vemrecon.report.load import read_board

    path = Path(runs)
    return comparisons(build(read_board(path) if path.is_file() else read(path)), first, second, metric)


def load_results(runs: Path | str = "runs") -> list[dict[str, Any]]:
    """Scores of all finished runs below a folder, a row for each, as data frames take them.

    Args:
        runs: Folder of runs, or the leaderboard.json of a report.

    Raises:
        DataError: If a leaderboard cannot be read.
    """
    from vemrecon.report.load import load_results as read
    from vemrecon.report.load import read_board

    path, rows = Path(runs), []
    for _, result in read_board(path) if path.is_file() else read(path):
        spec, task = result.spec, result.spec.task
        run = {
            "dataset": task.dataset,
            "split": task.split,
            "kind": task.kind,
            "scale": task.scale,
            "degradation": task.degradation.name,
            "method": spec.method.name,
            "preset": spec.preset,
            "learned_from": spec.learned_from,
            "learned_from_scored": spec.contaminated,
            "seed": spec.seed,
            "run_id": result.run_id,
            "status": result.status,
            **asdict(result.costs),
        }
        rows += [plain({**run, **score.as_dict()}) for score in result.scores] or [plain(run)]
    return rows


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """With words instead of members of enumerations."""
    return {name: getattr(value, "value", value) for name, value in row.items()}
