"""`evaluate`: all scores of a reconstruction against the truth, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vemrecon.errors import ConfigError, DataError, unknown
from vemrecon.metrics.fsc import DIRECTIONS, FourierShellCorrelation, ShellCurve
from vemrecon.metrics.fsim import FeatureSimilarity
from vemrecon.metrics.isotropy import AxialContinuity, PowerAnisotropy
from vemrecon.metrics.lpips import PerceptualSimilarity
from vemrecon.metrics.ms_ssim import MultiScaleStructuralSimilarity
from vemrecon.metrics.names import FSC_WINDOWS, LPIPS_NETWORKS, METRICS, MS_SSIM_VARIANTS, PAIR_METRICS, SSIM_VARIANTS
from vemrecon.metrics.passes import MOST_VOXELS_3D, bounding_region, section_pass, spectral_pass, tile_pass
from vemrecon.metrics.psnr import PeakSignalNoiseRatio
from vemrecon.metrics.rows import (
    AXES,
    LeftOut,
    Scope,
    anisotropy_rows,
    continuity_rows,
    fsc_rows,
    missing_fsc_rows,
    section_rows,
)
from vemrecon.metrics.score import Score
from vemrecon.metrics.sections import PLANES
from vemrecon.metrics.spectrum import EDGE_LIMIT, spectral_blocks
from vemrecon.metrics.ssim import WINDOWS, StructuralSimilarity
from vemrecon.metrics.tiles import Readable
from vemrecon.metrics.whole_sections import ALL_PLANES, WholeSectionMetric
from vemrecon.metrics.windows import window
from vemrecon.perceptual import PerceptualError
from vemrecon.volume.region import Region, triple
from vemrecon.volume.voxels import VoxelSize

SHORTEST_SPECTRAL_SIDE = 16  # below, a curve has a handful of shells
LPIPS_WORK = {"vgg": 650, "alex": 25}  # rough costs per voxel and plane, beside 1 for reading and PSNR


@dataclass(frozen=True)
class Evaluation:
    """Scores of one reconstruction, and curves that explain them."""

    scores: tuple[Score, ...]
    curves: dict[str, Any] = field(default_factory=dict)
    """JSON-able. `fsc` (and `fsc_none`): range -> direction -> {frequency in 1/nm, value}, null where a shell has too
    few frequencies, mean over blocks. `slices`: range -> {axis, first, error, mae}, per section in grey levels."""


class _Progress:
    """Counts work in weighted voxels and reports the fraction done."""

    def __init__(self, report: Callable[[float], None] | None) -> None:
        self.report, self.total, self.done = report, 0.0, 0.0

    def add(self, work: float) -> None:
        self.done += work
        if self.report is not None:
            self.report(min(self.done / self.total, 1.0))


def evaluate(
    truth: Readable,
    reconstruction: Readable,
    *,
    metrics: Sequence[str] = ("psnr", "ssim", "fsc"),
    axis: int = 0,
    planes: Collection[str] = ALL_PLANES,
    ranges: Mapping[str, Region],
    kept_sections: Sequence[int] = (),
    defects: Sequence[int] = (),
    blocks: Mapping[str, Region] | None = None,
    scale: float | None = None,
    edge_limit: int = EDGE_LIMIT,
    progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Score a reconstruction.

    Both volumes are read piece by piece, so memory does not grow with their size. Scores are taken on 8-bit levels.

    Args:
        truth: Reference volume, read as float32 in [0, 1].
        reconstruction: Volume in the coordinates of the truth, same shape.
        metrics: Names out of `PAIR_METRICS`.
        axis: The degraded axis: 0, 1 or 2 for z, y or x.
        planes: What the metrics that see whole sections (`ms_ssim`, `fsim`, `lpips`) are computed for, out of xy, xz,
            yz and volume; the others give all of them at once.
        ranges: Scored regions by name (`all`, `span`), in voxels of the truth.
        kept_sections: Positions along `axis` of sections that were copied from the input. They are left out of the mean
            over sections perpendicular to `axis`, but count in the volume value and, as rows, in the other planes.
        defects: Positions along z of damaged sections, left out of every xy mean.
        blocks: Evaluation blocks by name; each is scored on its own, cut to each range. `fsim` leaves them out: it
            compares large sections at reduced size, so that a block of a section is not scored at the same scale. So
            does `lpips`, whose networks see far beyond the edge of a block.
        scale: Axial over lateral voxel size of the input, for the layering measures of `axial`.
        edge_limit: Longest edge, in voxels, of a Fourier transform; see `spectral_blocks`.
        progress: Called with the fraction of the work that is done.

    Returns:
        Rows for every metric, plane, range and block. A value that cannot be computed is None and says why.

    Raises:
        ConfigError: If a metric is unknown, or needs more than two volumes.
        DataError: If shapes differ, a region lies outside the volume, or values are not finite.

    Source: metrics.md, sections 1 to 4.
    """
    for name in metrics:
        if name not in METRICS:
            raise unknown("metric", name, PAIR_METRICS)
        if name not in PAIR_METRICS:
            raise ConfigError(f"the metric '{name}' is one of whole runs (`vemrecon bench`), not of two volumes alone")
    if axis not in (0, 1, 2):
        raise ConfigError(f"axis must be 0, 1 or 2 (z, y or x), got {axis}")
    _check_shapes(truth, reconstruction)
    scopes = _scopes(Region.whole(truth.shape), ranges, blocks or {})
    left_out = LeftOut(axis, frozenset(kept_sections), frozenset(defects))
    run = _Run(truth, reconstruction, axis, planes, scopes, left_out, scale)
    return run.evaluate(tuple(dict.fromkeys(metrics)), edge_limit, _Progress(progress))


def _check_shapes(truth: Readable, reconstruction: Readable) -> None:
    if triple(truth.shape) != triple(reconstruction.shape):
        raise DataError(
            f"the reconstruction has shape {triple(reconstruction.shape)} and the truth {triple(truth.shape)} "
            f"(z, y, x); they must cover the same voxels"
        )


def _scopes(whole: Region, ranges: Mapping[str, Region], blocks: Mapping[str, Region]) -> list[Scope]:
    if not ranges:
        raise DataError("no range to score; give at least {'all': Region.whole(truth.shape)}")
    for kind, regions in (("range", ranges), ("block", blocks)):
        for name, region in regions.items():
            if not whole.contains(region):
                raise DataError(f"{kind} '{name}' is {region}, which reaches out of the volume {whole}")
    scopes = [Scope(name, "all", region) for name, region in ranges.items()]
    for block, inside in blocks.items():
        for name, region in ranges.items():
            common = inside.intersection(region)
            if common is not None:
                scopes.append(Scope(name, block, common))
    return scopes


class _Run:
    """One evaluation: the passes over the volumes, and the rows that they give."""

    def __init__(
        self,
        truth: Readable,
        reconstruction: Readable,
        axis: int,
        planes: Collection[str],
        scopes: Sequence[Scope],
        left_out: LeftOut,
        scale: float | None,
    ) -> None:
        self.pair = (truth, reconstruction)
        self.axis, self.planes, self.scopes, self.left_out, self.scale = axis, planes, scopes, left_out, scale
        self.regions = list(dict.fromkeys(scope.region for scope in scopes))  # equal regions are computed once
        self.scores: list[Score] = []
        self.curves: dict[str, Any] = {}

    def evaluate(self, names: Sequence[str], edge_limit: int, progress: _Progress) -> Evaluation:
        ssim = {
            name: StructuralSimilarity(self.regions, SSIM_VARIANTS[name]) for name in names if name in SSIM_VARIANTS
        }
        multiscale = [name for name in names if name in MS_SSIM_VARIANTS]
        spectral = [name for name in names if name in FSC_WINDOWS or name == "axial"]
        tile_work = 1 + 5 * len(ssim)  # weights are rough relative costs per voxel
        voxels = sum(region.voxels for region in self.regions)
        whole = bounding_region(self.regions).voxels
        networks = list(dict.fromkeys(network for name in names for network in LPIPS_NETWORKS.get(name, ())))
        unblocked = list(dict.fromkeys(scope.region for scope in self.scopes if scope.block == "all"))
        section_work = 15 * ("fsim" in names) + sum(LPIPS_WORK[network] for network in networks)
        progress.total = whole * tile_work + voxels * (2 * bool(spectral) + 15 * len(multiscale))
        progress.total += 3 * section_work * sum(region.voxels for region in unblocked)

        self._tiles(names, ssim, lambda n: progress.add(n * tile_work))
        for name in multiscale:
            self._multiscale(name, lambda n: progress.add(5 * n))
        if "fsim" in names:
            self._feature_similarity(unblocked, lambda n: progress.add(15 * n))
        for network in networks:
            self._perceptual(network, unblocked, progress)
        for region in self.regions if spectral else ():
            self._spectral(names, region, edge_limit, lambda n: progress.add(2 * n))

        order = {(scope.range, scope.block): k for k, scope in enumerate(self.scopes)}
        self.scores.sort(key=lambda row: order[row.range, row.block])
        return Evaluation(tuple(self.scores), self.curves)

    def _tiles(
        self, names: Sequence[str], ssim: Mapping[str, StructuralSimilarity], done: Callable[[float], None]
    ) -> None:
        continuity = AxialContinuity(self.regions, self.axis)
        psnr = [PeakSignalNoiseRatio(self.regions)] if "psnr" in names else []
        halo = max([1, *(metric.radius for metric in ssim.values())])
        tile_pass(*self.pair, self.regions, [continuity, *psnr, *ssim.values()], halo, done)
        for similarity in psnr:
            values = dict(zip(self.regions, similarity.compute(), strict=True))
            self._sections("psnr", "", "dB", values, "not defined")
        for name, metric in ssim.items():
            values = dict(zip(self.regions, metric.compute(), strict=True))
            if metric.mirrors:
                values = {region: _planes(found) for region, found in values.items()}
            note = f"not defined: a side is shorter than {len(window(WINDOWS[SSIM_VARIANTS[name]]))}"
            self._sections("ssim", SSIM_VARIANTS[name], "", values, note)
        self._continuity("axial" in names, continuity.compute())

    def _multiscale(self, name: str, done: Callable[[float], None]) -> None:
        variant = MS_SSIM_VARIANTS[name]
        metric = MultiScaleStructuralSimilarity(self.regions, variant, self.planes)
        limit = f" (volume: at most {MOST_VOXELS_3D} voxels)" if metric.volumes else ""
        self._whole_sections("ms_ssim", variant, metric, limit, done)

    def _feature_similarity(self, regions: Sequence[Region], done: Callable[[float], None]) -> None:
        self._whole_sections("fsim", "", FeatureSimilarity(regions, self.planes), "", done)

    def _perceptual(self, network: str, regions: Sequence[Region], progress: _Progress) -> None:
        def done(voxels: float) -> None:
            progress.add(LPIPS_WORK[network] * voxels)

        try:
            metric = PerceptualSimilarity(regions, network, self.planes)
        except PerceptualError as error:  # a reconstruction is not lost because a score cannot be had
            blank = {plane: torch.zeros(0) for plane in PLANES if plane in self.planes}
            self._sections("lpips", network, "", dict.fromkeys(regions, blank), str(error))
            done(3.0 * sum(region.voxels for region in regions))
        else:
            self._whole_sections("lpips", network, metric, "", done)

    def _whole_sections(
        self, name: str, variant: str, metric: WholeSectionMetric, limit: str, done: Callable[[float], None]
    ) -> None:
        section_pass(*self.pair, metric, done)
        values = metric.per_section()  # `compute` would warn when no section is large enough
        note = f"not defined: a side is shorter than {metric.shortest}{limit}"
        self._sections(name, variant, "", dict(zip(metric.scopes, values, strict=True)), note)

    def _sections(
        self, metric: str, variant: str, unit: str, values: Mapping[Region, Mapping[str, Tensor]], undefined: str
    ) -> None:
        for scope in self.scopes:
            if scope.region in values:
                found = values[scope.region]
                self.scores += section_rows(metric, variant, unit, scope, found, self.left_out, undefined)

    def _continuity(self, wanted: bool, sums: Sequence[Mapping[str, Tensor]]) -> None:
        for scope in self.scopes:
            found = sums[self.regions.index(scope.region)]
            if wanted:
                self.scores += continuity_rows(scope, found, self.axis, self.scale)
            if scope.block == "all":
                self.curves.setdefault("slices", {})[scope.range] = {
                    "axis": AXES[self.axis],
                    "first": scope.region.start[self.axis],
                    "error": found["error"].reshape(-1).tolist(),
                    "mae": found["mae"].reshape(-1).tolist(),
                }

    def voxel_size(self) -> VoxelSize:
        """Of the truth; the reconstruction covers the same voxels."""
        found = self.pair[0].voxel_size
        if found is None:
            raise DataError("the truth has no voxel size, but resolution is in nanometres; give a voxel size")
        return found

    def _spectral(self, names: Sequence[str], region: Region, edge_limit: int, done: Callable[[float], None]) -> None:
        scopes = [scope for scope in self.scopes if scope.region == region]
        if min(region.shape) < SHORTEST_SPECTRAL_SIDE:
            note = f"not defined: a side is shorter than {SHORTEST_SPECTRAL_SIDE}"
            for scope in scopes:
                for name in (n for n in names if n in FSC_WINDOWS):
                    self.scores += missing_fsc_rows(FSC_WINDOWS[name], scope, note)
                self.scores += anisotropy_rows(scope, [], note) if "axial" in names else []
            return
        parts = spectral_blocks(region, edge_limit)
        shape, voxel_size = parts[0].shape, self.voxel_size()
        fsc = {
            name: FourierShellCorrelation(shape, voxel_size, len(parts), FSC_WINDOWS[name])
            for name in names
            if name in FSC_WINDOWS
        }
        power = PowerAnisotropy(shape, voxel_size, len(parts), self.axis) if "axial" in names else None
        spectral_pass(*self.pair, parts, list(fsc.values()), power, done)
        for scope in scopes:
            for name, metric in fsc.items():
                curves = metric.curves()
                self.scores += fsc_rows(FSC_WINDOWS[name], scope, curves, self.axis)
                if scope.block == "all":
                    self.curves.setdefault(name, {})[scope.range] = _mean_curves(curves)
            if power is not None:
                self.scores += anisotropy_rows(scope, power.compute().reshape(-1, 2).tolist())


def _planes(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {plane: v for plane, v in values.items() if plane != "volume"}


def _mean_curves(blocks: Sequence[Mapping[str, ShellCurve]]) -> dict[str, Any]:
    """Mean over blocks of one shape, per direction; a shell is valid if it is valid in every block."""
    mean = {}
    for name in DIRECTIONS:
        curves = [block[name] for block in blocks]
        valid = np.all([curve.valid for curve in curves], axis=0)
        values = np.mean([curve.correlation for curve in curves], axis=0)
        mean[name] = ShellCurve(curves[0].frequency, values, valid).points()
    return mean
