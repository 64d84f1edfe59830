"""`judge`: all scores that are asked for, from the evidence; `evaluate`: the same of two volumes alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from vemrecon.errors import ConfigError
from vemrecon.metrics.catalogue import expanded, metric, names_for
from vemrecon.metrics.catalogue import metrics as catalogue
from vemrecon.metrics.evaluation import Evaluation
from vemrecon.metrics.evidence import Evidence
from vemrecon.metrics.isotropy import AxialContinuity
from vemrecon.metrics.passes import bounding_region, spectral_pass, tile_pass, too_short
from vemrecon.metrics.score import Need, Score
from vemrecon.metrics.spec import NO_SPREAD, REFERENCE, MetricSpec
from vemrecon.metrics.spectrum import EDGE_LIMIT, spectral_blocks
from vemrecon.metrics.tiles import Readable
from vemrecon.metrics.whole_sections import ALL_PLANES
from vemrecon.perceptual import PerceptualError
from vemrecon.progress import Share
from vemrecon.volume import SectionGrid
from vemrecon.volume.planes import AXES
from vemrecon.volume.region import Region

SPECTRAL_WORK = 2  # per voxel, where reading and PSNR cost 1
REASONS = {
    Need.TRUTH: "there is no truth to compare with",
    Need.LABELS: "there are no labels to compare with",
    Need.SPREAD: NO_SPREAD,
    Need.METHOD: "needs the method, not only what it made",
}
"""Why a score is blank, by what it lacks."""
PAIR = frozenset({Need.TRUTH, Need.WEIGHTS})
"""What two volumes alone meet."""


def pair_metrics() -> tuple[str, ...]:
    """Names of the metrics that a reconstruction and its truth can be scored by, without labels or the method."""
    return tuple(name for name in names_for(REFERENCE) if all(part.needs <= PAIR for part in expanded([name])))


def evaluate(
    truth: Readable,
    reconstruction: Readable,
    *,
    metrics: Sequence[str] = ("psnr", "ssim", "fsc"),
    axis: int = 0,
    planes: Collection[str] = ALL_PLANES,
    ranges: Mapping[str, Region],
    kept_sections: Collection[int] = (),
    defects: Collection[int] = (),
    blocks: Mapping[str, Region] | None = None,
    grid: SectionGrid | None = None,
    edge_limit: int = EDGE_LIMIT,
    progress: Share | None = None,
) -> Evaluation:
    """Score a reconstruction.

    Both volumes are read piece by piece, so memory does not grow with their size. Scores are taken on 8-bit levels.

    Args:
        truth: Reference volume, read as float32 in [0, 1].
        reconstruction: Volume in the coordinates of the truth, same shape.
        metrics: Names out of `pair_metrics()`.
        axis: The degraded axis: 0, 1 or 2 for z, y or x.
        planes: What the metrics that see whole sections (`ms_ssim`, `fsim`, `lpips`) are computed for, out of xy, xz,
            yz and volume; the others give all of them at once.
        ranges: Scored regions by name (`all`, `span`), in voxels of the truth.
        kept_sections: Positions along `axis` of sections that were copied from the input. They are left out of the mean
            over sections perpendicular to `axis`, but count in the volume value and, as rows, in the other planes.
        defects: Positions along z of damaged sections, left out of the xy means.
        blocks: Evaluation blocks by name; every range is also scored inside each of them, where they overlap. FSIM and
            LPIPS are not.
        grid: Where the observed sections lie, for layering measures.
        edge_limit: Longest edge of a block that is Fourier-transformed at once.
        progress: Called with the finished fraction.

    Raises:
        ConfigError: For an unknown metric or axis.
        DataError: If shapes differ, a region lies outside, the voxel size is needed and unknown, or values are not
            finite.
    """
    metrics = [catalogue().canonical(name) for name in metrics]
    for name in metrics:
        if metric(name) and name not in pair_metrics():
            raise ConfigError(f"the metric '{name}' is one of whole runs (`vemrecon bench`), not of two volumes alone")
    if axis not in (0, 1, 2):
        raise ConfigError(f"axis must be 0, 1 or 2 (z, y or x), got {axis}")
    evidence = Evidence(
        reconstruction,
        ranges,
        truth=truth,
        axis=axis,
        grid=grid,
        blocks=blocks or {},
        kept_sections=kept_sections,
        defects=defects,
        planes=planes,
        edge_limit=edge_limit,
        tell=lambda phase, share, note="": progress(share) if progress else None,
    )
    return judge(evidence, metrics)


def judge(evidence: Evidence, names: Sequence[str]) -> Evaluation:
    """All scores of some metrics, blank with the reason where their needs are not met.

    Args:
        evidence: What the reconstruction is judged by.
        names: Names of metrics.

    Raises:
        ConfigError: If a name is unknown.
        DataError: If the voxel size is needed and unknown, or values are not finite.
    """
    specs = expanded(names)
    scores: list[Score] = []
    able = []
    for spec in specs:
        lacks = evidence.lacks(spec.needs)
        if lacks is not None:
            scores += spec.blank(evidence, REASONS[lacks])
        else:
            able.append(spec)
    evidence.work = _work(evidence, able)
    if evidence.truth is not None:
        _show_tiles(evidence, able)
        _show_spectra(evidence, able)
    for spec in able:
        try:
            scores += spec.evaluate(evidence)
        except PerceptualError as error:  # a reconstruction is not lost because a score cannot be had
            scores += spec.blank(evidence, str(error), Need.WEIGHTS)
            evidence.spend(spec.work * _whole(evidence))
    declared = [column for spec in specs for column in spec.columns(evidence.kind, evidence.along)]
    order = {(scope.range, scope.block): k for k, scope in enumerate(evidence.scopes)}
    kept = [score for score in scores if any(column.shows(score.kind) for column in declared)]
    kept.sort(key=lambda score: order[score.range, score.block])
    evidence.tell("score", 1.0)
    return Evaluation(tuple(kept), evidence.curves)


def _whole(evidence: Evidence) -> float:
    return float(sum(region.voxels for region in evidence.whole_regions))


def _work(evidence: Evidence, specs: Sequence[MetricSpec]) -> float:
    """Everything that there is to do, in voxels weighted by rough relative costs."""
    own = sum(spec.work for spec in specs) * _whole(evidence)
    if evidence.truth is None:
        return own
    tiles = (1 + sum(spec.tile_work for spec in specs)) * bounding_region(evidence.regions).voxels
    spectra = SPECTRAL_WORK * any(spec.spectra for spec in specs) * sum(r.voxels for r in evidence.regions)
    return own + tiles + spectra


def _show_tiles(evidence: Evidence, specs: Sequence[MetricSpec]) -> None:
    """One pass over tiles for all metrics that work on them, and for the errors of every section, which pages draw."""
    made = {spec.name: (spec.tiles(evidence), spec.halo) for spec in specs if spec.tiles}
    found = {name: metric for name, (metric, _) in made.items()}
    profile = found.get("axial") or AxialContinuity(evidence.regions, evidence.axis)
    halo = max([1, *(margin(metric) for metric, margin in made.values())])
    work = 1 + sum(spec.tile_work for spec in specs)
    every = list({id(metric): metric for metric in (profile, *found.values())}.values())
    tile_pass(*evidence.pair, evidence.regions, every, halo, lambda voxels: evidence.spend(voxels * work))
    evidence.shown |= found
    for scope, sums in evidence.of_regions(dict(zip(evidence.regions, profile.compute(), strict=True))):
        if scope.block == "all":
            evidence.curves.setdefault("slices", {})[scope.range] = {
                "axis": AXES[evidence.axis],
                "first": scope.region.start[evidence.axis],
                "error": sums["error"].reshape(-1).tolist(),
                "mae": sums["mae"].reshape(-1).tolist(),
            }


def _show_spectra(evidence: Evidence, specs: Sequence[MetricSpec]) -> None:
    """One Fourier transform of every region for all metrics that work on spectra."""
    makers = {spec.name: spec.spectra for spec in specs if spec.spectra}
    for region in evidence.regions if makers else ():
        if too_short(region):
            continue
        parts = spectral_blocks(region, evidence.edge_limit)
        made = {name: make(evidence, parts) for name, make in makers.items()}
        done: Callable[[float], None] = lambda voxels: evidence.spend(SPECTRAL_WORK * voxels)  # noqa: E731
        spectral_pass(*evidence.pair, parts, list(made.values()), done)
        for name, shown in made.items():
            evidence.spectra.setdefault(name, {})[region] = shown
