"""Uncertainty: how far rotations or samples disagree and, where a truth is known, how well that tells the error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Need, Reference, Score
from vemrecon.metrics.spec import NATIVE, REFERENCE, MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence


def _columns(kind: str, axis: str) -> Sequence[Column]:
    def column(label: str, variant: str, better: Better, style: str, unit: str, words: str, rank: int = 9) -> Column:
        of = Reference.TRUTH if variant == "spearman" else Reference.NONE
        return Column(
            "uncertainty", "volume", "Uncertainty", label, better, style, unit, variant, False, rank=rank, help=words,
            reference=of,
        )  # fmt: skip

    spread = (
        column("mean", "mean", Better.NEITHER, "2", "grey", "standard deviation over rotations or samples"),
        column("99 %", "p99", Better.NEITHER, "2", "grey",
               "99th percentile of the standard deviation over rotations or samples"),
    )  # fmt: skip
    tells = column("with error", "spearman", Better.HIGH, "3", "", "rank correlation of uncertainty and error", 1)
    return spread if kind == NATIVE else (*spread, tells)


def _scores(evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.rows import Scope
    from vemrecon.metrics.uncertainty import calibration, uncertainty_scores

    assert evidence.spread is not None
    left_out = {*evidence.kept_sections, *evidence.defects}
    curves = {}
    for name, region in evidence.ranges.items():
        scope = Scope(name, "all", region)
        yield from uncertainty_scores(evidence.spread, scope, left_out if evidence.truth is not None else ())
        if evidence.truth is not None:
            score, curves[name] = calibration(*evidence.pair, evidence.spread, scope, left_out)
            yield score
        evidence.spend(4.0 * region.voxels)
    if curves:
        evidence.curves["uncertainty"] = curves


SPECS = (
    MetricSpec(
        "uncertainty", "spread over rotations or samples, against the error where a truth is known", _columns, _scores,
        kinds=frozenset({REFERENCE, NATIVE}), needs=frozenset({Need.SPREAD}), work=4, place=115,
    ),
)  # fmt: skip
