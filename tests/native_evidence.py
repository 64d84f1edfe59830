"""Scores of a native task without a run: what a method makes of sections that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vemrecon.bench.scoring import ReadyMethod, gathered
from vemrecon.bench.task_volumes import TaskVolumes
from vemrecon.degradations import make_degradation
from vemrecon.methods.base import Method
from vemrecon.metrics import Score
from vemrecon.metrics.evaluate import judge
from vemrecon.volume import Volume


def native_scores(
    method: Method,
    observed: Volume,
    scratch: Path,
    metrics: Sequence[str],
    defects: Sequence[int] = (),
    *,
    made: Volume | None = None,
) -> tuple[Score, ...]:
    """Scores of metrics that need the method; the reconstruction itself matters to none of them."""
    volumes, ready = TaskVolumes(observed, None, 0), ReadyMethod(method, "a method", scratch / "held")
    average = make_degradation("average", observed.require_grid().scale)
    return judge(gathered("native", volumes, average, made or observed, defects, method=ready), metrics).scores
