"""Scores of evaluation blocks, as the results of a row have kept them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.result import RunResult
from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Limit
from vemrecon.report.cells import WHOLE

KIND = ("metric", "variant", "plane", "target", "reference")
"""What `Score.kind` holds."""


@dataclass(frozen=True)
class BlockScores:
    """Scores of one kind, of one method."""

    blocks: tuple[str, ...]
    """Names, sorted."""
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    """Shape (seeds, blocks)."""

    def of(self, blocks: Sequence[str]) -> NDArray[np.float64]:
        """The values of some of its blocks, in their order."""
        at = {name: n for n, name in enumerate(self.blocks)}
        return self.values[:, [at[name] for name in blocks]]


def block_scores(results: Sequence[RunResult], column: Column) -> BlockScores | str:
    """What the results of a row have kept for a column, or why that is nothing.

    A block counts where every seed has a value, and a seed where its whole volume has one.
    """
    tables: dict[int, Mapping[str, float]] = {}
    for result in results:
        kind = [s for s in result.scores if s.range == WHOLE and s.kind == column.kind]
        if all(score.value is None for score in kind if score.whole):
            continue
        if any(score.limit for score in kind):
            return "values are bounds"
        tables[result.spec.seed] = {s.block: s.value for s in kind if not s.whole and s.value is not None}
    if not tables:
        return "no value"
    common = set.intersection(*(set(table) for table in tables.values()))
    if not common:
        return "no scores of evaluation blocks: the volume is a single one, or only the whole of it is scored"
    blocks = tuple(sorted(common))
    seeds = tuple(sorted(tables))
    return BlockScores(blocks, seeds, np.array([[tables[seed][name] for name in blocks] for seed in seeds]))


def blocks_record(result: RunResult, columns: Iterable[Column]) -> list[dict[str, Any]]:
    """Scores of evaluation blocks as a leaderboard.json keeps them: one entry for each kind of score."""
    found = []
    for column in columns:
        parts = [s for s in result.scores if not s.whole and s.range == WHOLE and s.kind == column.kind]
        if parts:
            parts.sort(key=lambda score: score.block)
            found.append({
                **dict(zip(KIND, column.kind, strict=True)),
                "unit": parts[0].unit,
                "values": {score.block: score.value for score in parts},
                "bounds": any(score.limit for score in parts),
            })  # fmt: skip
    return found


def scores_of_blocks(record: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The scores of what `blocks_record` made, as plain values."""
    return [
        {
            **{name: one[name] for name in (*KIND, "unit")},
            "range": WHOLE,
            "block": block,
            "value": value,
            "limit": Limit.UNSURE if one["bounds"] and value is not None else None,
        }
        for one in record
        for block, value in one["values"].items()
    ]


def judged(values: NDArray[np.float64], better: Better) -> NDArray[np.float64]:
    """Values whose differences say how much better or worse one is: where the best is 0 or 1, distances from it."""
    if better not in (Better.ONE, Better.ZERO):
        return values
    return np.vectorize(better.badness, otypes=[np.float64])(values)
