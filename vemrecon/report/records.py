"""The leaderboard for programs: a long table as CSV and nested records as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from vemrecon.bench.result import Costs, RunResult, Status
from vemrecon.bench.spec import Task
from vemrecon.files import canonical_json, csv_cell, finite
from vemrecon.metrics.column import Column
from vemrecon.metrics.score import Score
from vemrecon.report.agreement import Agreed, Agreement, agreements
from vemrecon.report.block_scores import blocks_record
from vemrecon.report.cells import Cell
from vemrecon.report.columns import AnyColumn, CostColumn, GainColumn, score_order
from vemrecon.report.environments import hardware, told
from vemrecon.report.leaderboard import MAIN_RANGE, Leaderboard, Table
from vemrecon.report.load import BOARD_SCHEMA
from vemrecon.report.overview import Gain, Overview, overviews
from vemrecon.report.published_table import PublishedLine
from vemrecon.report.reference_rows import ReferenceRow
from vemrecon.report.row import Row
from vemrecon.report.split_words import split_words
from vemrecon.volume import SectionGrid
from vemrecon.volume.grey_range import GreyRange

REFERENCE = "reference"
"""Status of the lines of reference rows in the CSV."""
COSTS = tuple(f.name for f in fields(Costs))
SCORE = (
    "metric", "variant", "plane", "target", "reference", "range", "block", "value", "limit", "unit", "std", "count",
    "note",
)  # fmt: skip
SURE = ("interval_low", "interval_high", "rank_best", "rank_worst", "gain", "gain_low", "gain_high", "best_kernel")
"""Of the score that ranks alone, of the whole volume; the same for every seed of a row."""
HEADER = (
    "dataset", "split", "kind", "axis", "scale", "degradation", "degradation_arguments", "first_section",
    "missing_sections",    "black", "white", "range_stated_by",
    "method", "method_version", "method_arguments", "regime", "learned_from", "learned_from_scored", "preset",
    "track_minutes", "seed", *SCORE, *SURE,
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
                if result.spec.track == table.track:  # a run without training stands in the tables of tracks, too
                    writer.writerows(_lines(table, row, result))
        for reference in table.references if not table.track else ():
            writer.writerows(_reference_lines(table, reference))
    return stream.getvalue()


def _lines(table: Table, row: Row, result: RunResult) -> Iterator[dict[str, str]]:
    spec, method = result.spec, result.spec.method
    run = {
        **_task_cells(spec.task, result.grid, result.intensity_range),
        "method": method.name,
        "method_version": method.version,
        "method_arguments": canonical_json(plain(method.arguments)),
        "track_minutes": spec.track.minutes if spec.track else None,
        **{name: getattr(spec, name) for name in ("preset", "seed", "protocol", "precision")},
        "regime": row.regime,
        "learned_from": spec.learned_from,
        "learned_from_scored": row.contaminated,
        **{name: getattr(result, name) for name in ("status", "reason", "run_id")},
        **{name: told(result.environment, name) for name in HEADER if name in result.environment},
        **asdict(result.costs),
    }
    scores = sorted(result.scores, key=score_order) if result.status == Status.DONE else []
    main = table.primary.kind if isinstance(table.primary, Column) else None
    for score in scores:
        ranks = score.whole and score.range == MAIN_RANGE and score.kind == main
        cells = {**_score_cells(score), **(_sure_cells(table, row) if ranks else {})}
        yield {name: _csv_cell(value) for name, value in {**run, **cells}.items()}
    if not scores:
        yield {name: _csv_cell(value) for name, value in run.items()}


def _sure_cells(table: Table, row: Row) -> dict[str, Any]:
    """How sure the main score is, and what it is above the best kernel."""
    found, rank, gain = table.certainty, table.certainty.ranks.get(row.label), table.columns.gain
    interval = found.intervals.get((table.primary.key, row.label))
    more = found.intervals.get((gain.key, row.label)) if gain else None
    value = row.cells[MAIN_RANGE][gain.key].value if gain else None
    kernel = table.best_kernel.label if table.best_kernel and value is not None else None
    cells = (
        *((interval.low, interval.high) if interval else (None, None)),
        *((rank.best, rank.worst) if rank else (None, None)),
        value,
        *((more.low, more.high) if more else (None, None)),
        kernel,
    )
    return dict(zip(SURE, cells, strict=True))


def _reference_lines(table: Table, reference: ReferenceRow) -> Iterator[dict[str, str]]:
    """Lines whose status says that no run has made them."""
    task = _task_cells(table.task, table.grid, table.intensity_range)
    task |= {"method": reference.label, "protocol": table.protocol, "status": REFERENCE}
    for score in sorted(reference.scores, key=score_order):
        yield {name: _csv_cell(value) for name, value in {**task, **_score_cells(score)}.items()}


def _score_cells(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name) for name in SCORE}


def _task_cells(task: Task, grid: SectionGrid | None, span: GreyRange | None) -> dict[str, Any]:
    return {
        **{name: getattr(task, name) for name in ("dataset", "split", "kind", "axis", "scale")},
        "degradation": task.degradation.name,
        "degradation_arguments": canonical_json(plain(task.degradation.arguments)),
        "first_section": grid.first if grid else None,
        "missing_sections": str(task.missing or ""),
        **_range_cells(span),
        **{name: getattr(task, name) for name in ("dataset_digest", "split_digest")},
    }


def _range_cells(found: GreyRange | None) -> dict[str, Any]:
    return {"black": found.black, "white": found.white, "range_stated_by": found.stated_by} if found else {}


def _csv_cell(value: Any) -> str:
    """Numbers as Python prints them, which is exact; nothing for a missing or infinite value; no text is a formula."""
    if value is None or (isinstance(value, float) and finite(value) is None):
        return ""
    return csv_cell(str(value)) if isinstance(value, str) else repr(value)


def json_text(board: Leaderboard) -> str:
    """Nested records: tasks with their columns, rows with averaged scores and costs, and the runs behind every row.

    `read_board` makes the same leaderboard of it.
    """
    record = {
        "schema": BOARD_SCHEMA,
        "tasks": [_task_record(table) for table in board.tables],
        "overviews": [_overview_record(overview) for overview in overviews(board)],
        "agreements": [_agreement_record(agreement) for agreement in agreements(board)],
        "warnings": list(board.warnings),
    }
    return json.dumps(plain(record), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _agreement_record(agreement: Agreement) -> dict[str, Any]:
    """Kendall's tau and the number of methods; tables are those of `tasks`, by their keys."""

    def pair(found: Agreed | None) -> dict[str, Any] | None:
        return asdict(found) if found else None

    keys = [place.table.key for place in agreement.places]
    return {
        "of": agreement.of.key,
        "tasks": {
            place.table.key: {
                "measures": {c.key: pair(one) for c, one in zip(agreement.measures, place.measures, strict=True)},
                "seeds": pair(place.seeds),
                "tasks": {key: pair(one) for key, one in zip(keys, place.tables, strict=False)},
            }
            for place in agreement.places
        },
    }


def _task_record(table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "title": table.title,
        "task": table.task.as_dict(),
        "split_note": split_words(table.task.dataset, table.task.split),
        "protocol": table.protocol,
        "track": asdict(table.track) if table.track else None,
        "grid": table.grid.as_dict() if table.grid else None,
        "intensity_range": asdict(table.intensity_range) if table.intensity_range else None,
        "columns": {column.key: _column_record(table, column) for column in table.columns.every},
        "rows": _row_records(table),
        "best_kernel": table.best_kernel.label if table.best_kernel else None,
        "references": [_reference_record(table, reference) for reference in table.references],
        "comparisons": _comparisons(table),
        "certainty_notes": list(table.certainty.notes),
        "published": [_published_record(line) for line in table.published],
    }


def _column_record(table: Table, column: AnyColumn) -> dict[str, Any]:
    if isinstance(column, CostColumn):
        return {"cost": column.cost, "heading": column.heading, "better": column.better, "main": True}
    if isinstance(column, GainColumn):
        facts = {name: getattr(column, name) for name in ("heading", "better", "help", "unit")}
        return {"gain_of": column.of.key, **facts, "main": True}
    return {
        **{name: getattr(column, name) for name in ("metric", "variant", "plane", "target", "reference", "unit")},
        **{name: getattr(column, name) for name in ("heading", "better", "help")},
        "main": column in table.main,
    }


def _overview_record(overview: Overview) -> dict[str, Any]:
    """Gains by method and task; tasks are named by their keys."""
    return {
        "title": overview.title,
        "unit": overview.column.unit,
        "track": asdict(overview.track) if overview.track else None,
        "tasks": [
            {"key": table.key, "tissue": tissue, "best_kernel": table.best_kernel and table.best_kernel.label}
            for table, tissue in zip(overview.tables, overview.tissues, strict=True)
        ],
        "methods": [
            {
                "label": line.label,
                "regime": line.regime,
                "tasks": line.count,
                "mean": _gain_record(line.mean),
                "gains": [_gain_record(gain) for gain in line.gains],
            }
            for line in overview.lines
        ],
        "left_out": list(overview.left_out),
    }


def _gain_record(gain: Gain) -> dict[str, Any]:
    found = gain.estimate
    return {**(asdict(found) if found else {"value": None, "low": None, "high": None}), "reason": gain.reason}


def _row_records(table: Table) -> list[dict[str, Any]]:
    best: dict[str, list[str]] = {}
    for name, key, label in table.best:
        best.setdefault(label, []).append(f"{name}/{key}")
    intervals: dict[str, dict[str, Any]] = {}
    for (key, label), found in table.certainty.intervals.items():
        intervals.setdefault(label, {})[key] = asdict(found)
    return [
        {
            **_row_record(table, row),
            "best": sorted(best.get(row.label, ())) if row.cells else [],
            "intervals": intervals.get(row.label, {}) if row.cells else {},
        }
        for row in table.rows
    ]


def _row_record(table: Table, row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "method": asdict(row.spec.method),
        "preset": row.preset,
        **({"level": row.level} if row.level else {}),
        "precision": row.spec.precision,
        "regime": row.regime,
        "learned_from": row.spec.learned_from,
        "learned_from_scored": row.contaminated,
        "status": row.status,
        "reason": row.reason,
        "cells": _cell_records(table, row.cells),
        "rank": _rank_record(table, row),
        "one_seed": row.one_seed,
        "deviations": [asdict(one) for one in row.deviations],
        "runs": [_run_record(table, result) for _, result in row.runs],
    }


def _rank_record(table: Table, row: Row) -> dict[str, Any] | None:
    rank = table.certainty.ranks.get(row.label)
    if rank is None:
        return None
    return {"best": rank.best, "worst": rank.worst, "tied": list(table.certainty.tied(row.label))}


def _comparisons(table: Table) -> dict[str, Any] | None:
    """Paired tests of all rows by the main score: corrected p values say which differences are shown."""
    if not table.certainty.pairs:
        return None
    return {
        "column": table.primary.key,
        "pairs": [
            {
                **{name: getattr(pair, name) for name in ("first", "second", "difference")},
                "p": pair.tested.p,
                "p_corrected": pair.tested.adjusted,
            }
            for pair in table.certainty.pairs
        ],
    }


def _run_record(table: Table, result: RunResult) -> dict[str, Any]:
    """The result, with the scores of evaluation blocks that intervals and tests are made of; the CSV has all."""
    whole = tuple(sorted((score for score in result.scores if score.whole), key=score_order))
    record = {**replace(result, scores=whole, references={}).as_dict(), "hardware": hardware(result.environment)}
    main = [table.primary] if isinstance(table.primary, Column) else []  # lateral tasks: not the first of its metric
    return {**record, "blocks": blocks_record(result, dict.fromkeys((*main, *table.columns.leading)))}


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


def _reference_record(table: Table, reference: ReferenceRow) -> dict[str, Any]:
    """Cells as those of rows, and the scores that they are made of, which the runs of this file leave out."""
    return {
        "label": reference.label,
        "words": reference.words,
        "cells": _cell_records(table, reference.cells),
        "scores": [score.as_dict() for score in sorted(reference.scores, key=score_order)],
    }


def _cell_records(table: Table, cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, dict[str, Any]]:
    keys = [column.key for column in table.columns.every]
    return {name: {key: _cell_record(found[key]) for key in keys} for name, found in cells.items()}


def _cell_record(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in ("value", "std", "count", "limit", "notes")}


def plain(value: Any) -> Any:
    """The value with every number JSON cannot hold turned into None.

    >>> plain({"a": [float("nan"), 1.5]})
    {'a': [None, 1.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and finite(value) is None else value
