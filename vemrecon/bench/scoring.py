"""Scores of a stored reconstruction, for each kind of task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vemrecon import protocol
from vemrecon.bench.scene import Scene
from vemrecon.degrade import Degradation
from vemrecon.metrics.evaluate import Evaluation, evaluate
from vemrecon.metrics.frc import ring_correlation
from vemrecon.metrics.names import PAIR_METRICS, SECTION_METRICS
from vemrecon.metrics.rows import Scope
from vemrecon.metrics.score import Score
from vemrecon.metrics.uncertainty import NO_SPREAD, calibration, uncertainty_scores
from vemrecon.metrics.whole_sections import ALL_PLANES
from vemrecon.volume import Region, Volume
from vemrecon.volume.region import triple

LATERAL_PLANES = {"psnr": ("xy", "volume")}
"""Planes of a metric that mean something in a lateral task; of every other metric, xy alone."""


def score_against_truth(
    scene: Scene,
    reconstruction: Volume,
    degradation: Degradation,
    metrics: Sequence[str],
    defects: Sequence[int],
    progress: Callable[[float], None],
    spread: Volume | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and curves of a reference or lateral task; `spread` is the uncertainty of the reconstruction, if known.

    Lateral tasks are scored on xy sections, never across them: sections of an anisotropic volume do not register well
    enough with each other to compare shells. Source: dataset page, lateral-plane evaluation.
    """
    truth = scene.truth
    assert truth is not None
    ranges, kept = scored_ranges(truth, degradation, scene.observed.shape[scene.axis], scene.axis)
    lateral = scene.axis != 0
    result = evaluate(
        truth,
        reconstruction,
        metrics=[name for name in metrics if name in (SECTION_METRICS if lateral else PAIR_METRICS)],
        axis=scene.axis,
        planes=("xy",) if lateral else ALL_PLANES,
        ranges=ranges,
        kept_sections=kept,
        defects=defects,
        blocks=evaluation_blocks(truth.whole),
        scale=degradation.scale,
        progress=progress,
    )
    if not lateral:
        left_out = {*kept, *defects}
        found = (
            uncertainty(truth, reconstruction, spread, ranges, left_out) if "uncertainty" in metrics else Evaluation(())
        )
        return [asdict(row) for row in (*result.scores, *found.scores)], result.curves | found.curves
    rows = [row for row in result.scores if row.plane in LATERAL_PLANES.get(row.metric, ("xy",))]
    rings = ring_correlation(truth, reconstruction, ranges, defects) if "frc" in metrics else Evaluation(())
    return [asdict(row) for row in (*rows, *rings.scores)], result.curves | rings.curves


def uncertainty(
    truth: Volume,
    reconstruction: Volume,
    spread: Volume | None,
    ranges: Mapping[str, Region],
    left_out: Collection[int],
) -> Evaluation:
    """Uncertainty, and how well it tells the error, of the sections that were reconstructed and are not damaged."""
    rows: list[Score] = []
    curves = {}
    for name, region in ranges.items():
        scope = Scope(name, "all", region)
        if spread is None:
            units = {"mean": "grey", "p99": "grey", "spearman": ""}
            rows += (Score("uncertainty", v, "volume", name, "all", None, u, note=NO_SPREAD) for v, u in units.items())
        else:
            correlation, curves[name] = calibration(truth, reconstruction, spread, scope, left_out)
            rows += (*uncertainty_scores(spread, scope, left_out), correlation)
    return Evaluation(tuple(rows), {"uncertainty": curves} if curves else {})


def scored_ranges(
    truth: Volume, degradation: Degradation, observed: int, axis: int = 0
) -> tuple[dict[str, Region], list[int]]:
    """Scored ranges, and the positions along the coarse axis that were copied from the input.

    `all` is everything. Where sections were kept, `span` is from the first to the last kept one: none in it is
    extrapolated.
    """
    ranges = {"all": truth.whole}
    positions = degradation.grid.kept(observed)
    if positions is None:
        return ranges, []
    kept = positions.tolist()
    start, stop = [0, 0, 0], list(truth.shape)
    start[axis], stop[axis] = kept[0], kept[-1] + 1
    ranges["span"] = Region(triple(start), triple(stop))
    return ranges, kept if degradation.keeps_truth else []


def evaluation_blocks(whole: Region) -> dict[str, Region]:
    """Equal parts of about the protocol's block size, named by their place (z, y, x); none if there is only one."""
    size = protocol.protocol()["evaluation_block"]
    parts = [max(1, round(n / size)) for n in whole.shape]
    steps = [-(-n // k) for n, k in zip(whole.shape, parts, strict=True)]
    regions = list(whole.blocks(steps))
    if len(regions) == 1:
        return {}
    return {"-".join(str(a // s) for a, s in zip(r.start, steps, strict=True)): r for r in regions}
