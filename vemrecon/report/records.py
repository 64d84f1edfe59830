"""The leaderboard for programs: a long table as CSV and nested records as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from vemrecon.bench.result import RunResult
from vemrecon.files import canonical_json
from vemrecon.report.cells import Cell
from vemrecon.report.columns import plane_order
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table
from vemrecon.report.load import SCORE_FIELDS, number
from vemrecon.report.made_with import hardware, told
from vemrecon.report.published_line import PublishedLine
from vemrecon.report.row import Row

SCHEMA = 1
COSTS = ("train_seconds", "reconstruct_seconds", "score_seconds", "peak_memory_bytes", "parameters", "output_voxels")
HEADER = (
    "dataset", "split", "kind", "axis", "scale", "degradation", "degradation_arguments",
    "method", "method_version", "method_arguments", "regime", "preset", "seed",
    "metric", "variant", "plane", "range", "block", "value", "unit", "std", "count", "note",
    "status", "reason", "run_id", "protocol", "precision", "dataset_digest", "split_digest",
    "vemrecon", "commit", "python", "torch", "platform", "device", "cpu", "threads", *COSTS,
)  # fmt: skip


def csv_text(board: Leaderboard) -> str:
    """The long table: one line per score, and one line without a metric for a run that has none."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, HEADER, restval="", lineterminator="\n")
    writer.writeheader()
    for table in board.tables:
        for row in table.rows:
            for _, result in row.runs:
                writer.writerows(_lines(row, result))
    return stream.getvalue()


def _lines(row: Row, result: RunResult) -> Iterator[dict[str, str]]:
    task, method, spec = result.spec["task"], result.spec["method"], result.spec
    degradation = task.get("degradation") or {}
    run = {
        **{key: task.get(key) for key in ("dataset", "split", "kind", "axis", "scale")},
        "degradation": degradation.get("name"),
        "degradation_arguments": canonical_json(plain(degradation.get("arguments") or {})),
        "method": method["name"],
        "method_version": method.get("version"),
        "method_arguments": canonical_json(plain(method.get("arguments") or {})),
        **{key: spec.get(key) for key in ("preset", "seed", "protocol", "precision")},
        **{key: task.get(key) for key in ("dataset_digest", "split_digest")},
        "regime": row.regime,
        **{key: getattr(result, key) for key in ("status", "reason", "run_id")},
        **{key: told(result.environment, key) for key in HEADER if key in result.environment},
        **{key: number(result.costs.get(key)) for key in COSTS},
    }
    scores = sorted(result.scores, key=_score_order) if result.status == "done" else []
    for score in scores or [{}]:
        cells = {key: score.get(key) for key in (*SCORE_FIELDS, "value", "unit", "std", "count", "note")}
        yield {key: _csv_cell(value) for key, value in {**run, **cells}.items()}


def _score_order(score: Mapping[str, Any]) -> tuple[Any, ...]:
    block = score["block"]
    return (score["metric"], score["variant"], plane_order(score["plane"]), score["range"], block != "all", block)


def _csv_cell(value: Any) -> str:
    """Numbers as Python prints them, which is exact; nothing for a missing or infinite value."""
    if value is None or (isinstance(value, float) and number(value) is None):
        return ""
    return value if isinstance(value, str) else repr(value)


def json_text(board: Leaderboard) -> str:
    """Nested records: tasks, rows with averaged main scores and costs, and the runs behind every row."""
    record = {
        "schema": SCHEMA,
        "tasks": [_task_record(table) for table in board.tables],
        "warnings": list(board.warnings),
    }
    return json.dumps(plain(record), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _task_record(table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "title": table.title,
        "task": table.task,
        **table.identity,
        "rows": [_row_record(table, row) for row in table.rows],
        "published": [_published_record(line) for line in table.published],
    }


def _row_record(table: Table, row: Row) -> dict[str, Any]:
    cells = {name: {c.key: _cell_record(row.cells[name][c.key]) for c in table.columns} for name in row.cells}
    costs = {c.cost: cells[MAIN_RANGE][c.key] for c in table.columns if c.cost} if cells else {}
    scores = {
        name: {c.key: {**found[c.key], "unit": c.unit} for c in table.columns if not c.cost}
        for name, found in cells.items()
    }
    return {
        "label": row.label,
        "method": row.spec["method"],
        "preset": row.preset,
        "precision": row.spec.get("precision"),
        "regime": row.regime,
        "status": row.status,
        "reason": row.reason,
        "scores": scores,
        "costs": costs,
        "best": sorted(f"{name}/{key}" for name, key, label in table.best if label == row.label and row.cells),
        "runs": [
            {
                "run_id": result.run_id,
                "seed": result.spec.get("seed"),
                "hardware": hardware(result.environment),
                "environment": result.environment,
                "costs": result.costs,
            }
            for _, result in row.runs
        ],
    }


def _published_record(line: PublishedLine) -> dict[str, Any]:
    return {
        **{key: getattr(line, key) for key in ("paper", "table", "method", "part", "supervision", "degradation")},
        "scores": {
            key: {"value": score.value, "std": float(score.std) if score.std else None, "text": score.text}
            for key, score in line.scores.items()
        },
        "notes": line.notes,
        "comparable": not line.reasons,
        "why_not": list(line.reasons),
    }


def _cell_record(cell: Cell) -> dict[str, Any]:
    return {
        "value": cell.value,
        "std": cell.std,
        "count": cell.count,
        "limit": cell.limit.strip(),
        "notes": list(cell.notes),
    }


def plain(value: Any) -> Any:
    """The value with every number JSON cannot hold turned into None.

    >>> plain({"a": [float("nan"), 1.5]})
    {'a': [None, 1.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and number(value) is None else value
