"""Scores of a truth and a reconstruction that were made anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vemrecon import protocol
from vemrecon.bench.resolve import checked_degradation
from vemrecon.bench.scoring import scored_ranges
from vemrecon.errors import ConfigError, DataError
from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.evaluation import Evaluation
from vemrecon.progress import Share
from vemrecon.volume import Region, SectionGrid, Volume, require_content


def scored_pair(
    truth: Volume,
    made: Volume,
    *,
    metrics: Sequence[str] = (),
    scale: float | None = None,
    degradation: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    trim: bool = False,
    progress: Share | None = None,
) -> Evaluation:
    """Score a reconstruction against its truth.

    Args:
        truth: Isotropic, shape (z, y, x).
        made: Of the same shape, or with `trim` of fewer sections.
        metrics: Names; by default those of the protocol.
        scale: Anisotropy factor of what it was made from, for layering measures.
        degradation: How that was made: kept sections are left out of xy means, and the span between them is scored too.
        arguments: Of the degradation.
        trim: Whether to score the first sections only when the reconstruction is shorter.
        progress: Told the finished share.

    Raises:
        ConfigError: If a name is unknown, or the scale is missing.
        DataError: If the two do not fit, or the truth is constant.
    """
    require_content(truth)
    if trim:
        truth = truth.crop(Region((0, 0, 0), (min(truth.shape[0], made.shape[0]), *truth.shape[1:])))
    ranges, kept, grid = _ranges(truth, scale, degradation, arguments or {})
    return evaluate(
        truth,
        made,
        metrics=metrics or tuple(protocol.protocol()["metrics"]["reference"]),
        ranges=ranges,
        kept_sections=kept,
        grid=grid,
        progress=progress,
    )


def _ranges(
    truth: Volume, scale: float | None, degradation: str | None, arguments: Mapping[str, Any]
) -> tuple[dict[str, Region], list[int], SectionGrid | None]:
    if degradation is None:
        if arguments:
            raise ConfigError("--set needs --degradation, whose arguments it sets")
        return {"all": truth.whole}, [], SectionGrid.slabs(scale) if scale else None
    if scale is None:
        raise ConfigError("--degradation needs --scale, the anisotropy factor of the input")
    kind = checked_degradation(degradation, scale, arguments)
    if truth.shape[0] < kind.scale:
        raise DataError(f"{truth.name}: {truth.shape[0]} sections are fewer than the scale {kind.scale:g}")
    ranges, kept = scored_ranges(truth, kind, kind.sections(truth.shape[0]))
    return ranges, kept, kind.grid
