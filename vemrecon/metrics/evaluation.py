"""`Evaluation`: what came of judging a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vemrecon.metrics.score import Score


@dataclass(frozen=True)
class Evaluation:
    """Scores of one reconstruction, and curves that explain them."""

    scores: tuple[Score, ...]
    curves: dict[str, Any] = field(default_factory=dict)
    """JSON-able. `fsc` (and `fsc_none`): range -> direction -> {frequency in 1/nm, value}, null where a shell has too
    few frequencies, mean over blocks. `power`: the same with `truth`, `reconstruction` and `error` for the value, in
    squared grey levels. `slices`: range -> {axis, first, error, mae}, per section in grey levels."""
