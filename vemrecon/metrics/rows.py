"""From values per section or block to `Score` rows: what is left out, what is missing and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from vemrecon.metrics.fsc import DIRECTIONS, ShellCurve
from vemrecon.metrics.isotropy import layer_contrast, periodic_error_fraction, section_period
from vemrecon.metrics.passes import section_pass
from vemrecon.metrics.score import Limit, Score
from vemrecon.metrics.whole_sections import WholeSectionMetric
from vemrecon.volume import SectionGrid
from vemrecon.volume.planes import AXES, NORMALS
from vemrecon.volume.region import Region

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence


@dataclass(frozen=True)
class Scope:
    """A scored region with the names that its rows carry."""

    range: str
    block: str
    region: Region


@dataclass(frozen=True)
class LeftOut:
    """Sections that do not enter the mean of their own plane, as positions in the volume."""

    axis: int
    kept: frozenset[int] = field(default_factory=frozenset)
    """Along `axis`: copied from the input."""
    defects: frozenset[int] = field(default_factory=frozenset)
    """Along z: listed as damaged."""

    def kinds(self, plane: str) -> list[tuple[str, frozenset[int]]]:
        """What is left out of a plane, by kind."""
        kept = self.kept if NORMALS[plane] == self.axis else frozenset()
        defects = self.defects if plane == "xy" else frozenset()
        return [("kept", kept - defects), ("defect", defects)]


def section_scores(
    evidence: Evidence,
    metric: str,
    variant: str,
    unit: str,
    values: Mapping[Region, Mapping[str, Tensor]],
    undefined: str,
) -> Iterator[Score]:
    """Scores of a metric that is averaged over sections, for every scope with values; see `section_rows`."""
    for scope, found in evidence.of_regions(values):
        yield from section_rows(metric, variant, unit, scope, found, evidence.left_out, undefined)


def whole_section_scores(
    evidence: Evidence, name: str, variant: str, metric: WholeSectionMetric, limit: str, work: float
) -> Iterator[Score]:
    """Scores of a metric that sees whole sections; `work` is its cost per voxel and plane."""
    section_pass(*evidence.pair, metric, lambda voxels: evidence.spend(work * voxels))
    values = metric.per_section()  # `compute` would warn when no section is large enough
    note = f"not defined: a side is shorter than {metric.shortest}{limit}"
    return section_scores(evidence, name, variant, "", dict(zip(metric.scopes, values, strict=True)), note)


def section_rows(
    metric: str,
    variant: str,
    unit: str,
    scope: Scope,
    values: Mapping[str, Tensor],
    left_out: LeftOut,
    undefined: str,
) -> list[Score]:
    """Rows xy, xz, yz, mean (of these three) and volume of a metric that is averaged over sections.

    Args:
        metric: Name of the metric.
        variant: Variant of the metric.
        unit: Unit of the values.
        scope: What was scored.
        values: Per plane that is asked for one value per section, one for `volume` if there is such a form; infinite
            for identical sections, empty where the metric is not defined.
        left_out: Sections that do not count.
        undefined: Note for planes where the metric is not defined.
    """
    rows = [
        _plane_row(Score(metric, variant, plane, scope.range, scope.block, None, unit), scope, values[plane], left_out)
        if values[plane].numel()
        else Score(metric, variant, plane, scope.range, scope.block, None, unit, note=undefined)
        for plane in NORMALS
        if plane in values
    ]
    if len(rows) == len(NORMALS):
        found = [row.value for row in rows if row.value is not None]
        mean = sum(found) / len(found) if len(found) == len(NORMALS) else None
        note = "" if mean is not None else "not defined in every plane"
        rows.append(Score(metric, variant, "mean", scope.range, scope.block, mean, unit, note=note))
    if "volume" in values:
        volume = values["volume"].reshape(-1)
        note = undefined if not len(volume) else "" if bool(volume.isfinite().all()) else "identical"
        value = None if note else float(volume[0])
        rows.append(Score(metric, variant, "volume", scope.range, scope.block, value, unit, note=note))
    return rows


def _plane_row(row: Score, scope: Scope, sections: Tensor, left_out: LeftOut) -> Score:
    first = scope.region.start[NORMALS[row.plane]]
    values = sections.reshape(-1).numpy()
    counts = np.ones(len(values), bool)
    notes = []
    for kind, positions in left_out.kinds(row.plane):
        inside = [p - first for p in positions if 0 <= p - first < len(values)]
        counts[inside] = False
        if inside:
            notes.append(f"{len(inside)} {kind}")
    identical = counts & ~np.isfinite(values)
    if identical.any():
        notes.append(f"{int(identical.sum())} identical")
    values = values[counts & ~identical]
    note = f"{', '.join(notes)} sections left out" if notes else ""
    if not len(values):
        return _filled(row, None, note=f"no section left: {note}")
    return _filled(row, float(values.mean()), std=float(values.std()), count=len(values), note=note)


def _filled(row: Score, value: float | None, *, std: float | None = None, count: int | None = None, note: str) -> Score:
    return replace(row, value=value, std=std, count=count, note=note)


def missing_fsc_rows(variant: str, scope: Scope, note: str) -> list[Score]:
    """Rows of an FSC that cannot be computed."""
    return [
        Score("fsc", variant, name, scope.range, scope.block, None, "" if name == "ratio" else "nm", note=note)
        for name in (*DIRECTIONS, "lateral", "ratio")
    ]


LIMITS = {"no_crossing": Limit.AT_MOST, "below_at_first_shell": Limit.AT_LEAST}
"""Flags of a curve that never fell below, or never rose above, its threshold."""
FLAGS = {
    "no_crossing": "never below the threshold",
    "below_at_first_shell": "below the threshold from the start",
    "no_shell": "too few frequencies, or no power",
}
"""Flags of a curve, in words."""


def fsc_rows(variant: str, scope: Scope, blocks: Sequence[Mapping[str, ShellCurve]], axis: int) -> list[Score]:
    """Rows all, z, y, x, lateral (mean of the two lateral resolutions) and ratio (axial over lateral).

    With several blocks a row holds the mean over those that have a value; the note tells where that is only a bound.
    """
    lateral = [name for k, name in enumerate(AXES) if k != axis]
    parts = {**{name: (name,) for name in DIRECTIONS}, "lateral": lateral, "ratio": (AXES[axis], *lateral)}
    rows = []
    for name, directions in parts.items():
        values, flags, limits = [], Counter[str](), set[Limit]()
        for curves in blocks:
            found = {direction: curves[direction].resolution() for direction in directions}
            if any(value is None for value, _ in found.values()):
                flags["no_shell"] += 1
                continue
            values.append(_combined(name, [value for value, _ in found.values() if value is not None]))
            flags.update({flag for _, flag in found.values() if flag in LIMITS})
            limits |= {
                LIMITS[flag].turned if name == "ratio" and direction != AXES[axis] else LIMITS[flag]
                for direction, (_, flag) in found.items()
                if flag in LIMITS
            }
        row = Score("fsc", variant, name, scope.range, scope.block, None)
        rows.append(_shell_row(row, values, flags, limits, len(blocks)))
    return rows


def _shell_row(row: Score, values: Sequence[float], flags: Counter[str], limits: set[Limit], blocks: int) -> Score:
    of = f" in {{}} of {blocks} blocks" if blocks > 1 else ""
    told = [
        FLAGS[flag] + of.format(count)
        for flag, count in sorted(flags.items())
        if of or flag == "no_shell"  # of a single block, the limit says all of it
    ]
    if len(limits) > 1:
        told.append(
            "both resolutions are bounds, so their ratio is not known"
            if row.plane == "ratio"
            else "bounds of both kinds"
        )
    return replace(
        row,
        value=float(np.mean(values)) if values else None,
        unit="" if row.plane == "ratio" else "nm",
        std=float(np.std(values)) if len(values) > 1 else None,
        count=blocks if blocks > 1 else None,
        note=", ".join(told),
        limit=Limit.of(limits),
    )


def mean_curves(blocks: Sequence[Mapping[str, ShellCurve]]) -> dict[str, Any]:
    """Mean over blocks of one shape, per direction; a shell is valid if it is valid in every block."""
    mean = {}
    for name in DIRECTIONS:
        curves = [block[name] for block in blocks]
        valid = np.all([curve.valid for curve in curves], axis=0)
        values = np.mean([curve.correlation for curve in curves], axis=0)
        mean[name] = ShellCurve(curves[0].frequency, values, valid).points()
    return mean


def _combined(name: str, resolutions: Sequence[float]) -> float:
    if name == "ratio":
        return resolutions[0] / (0.5 * (resolutions[1] + resolutions[2]))
    return sum(resolutions) / len(resolutions)


def continuity_rows(scope: Scope, sums: Mapping[str, Tensor], axis: int, grid: SectionGrid | None) -> list[Score]:
    """Rows of the axial measures that need no transform; the variant names the measure.

    slice_error (mean of |e|, std of e), slice_error_max, slice_mae, layer_contrast (reconstruction minus truth) and
    layer_contrast_truth, periodic_error, and continuity along z, y and x.
    """
    along = AXES[axis]

    def row(variant: str, plane: str, value: float | None, unit: str = "", std: float | None = None) -> Score:
        note = "" if value is not None else "not defined"
        return Score("axial", variant, plane, scope.range, scope.block, value, unit, std, note=note)

    error, mae = sums["error"].reshape(-1), sums["mae"].reshape(-1)
    first = scope.region.start[axis]
    factor, begins = section_period(grid)
    truth, result = (layer_contrast(steps.reshape(-1).numpy(), first - begins, factor) for steps in sums["steps"])
    difference = None if truth is None or result is None else result - truth
    change = sums["change"].tolist()
    ratios = [b / a if a > 0 else None for a, b in zip(*change, strict=True)]
    return [
        row("slice_error", along, float(error.abs().mean()), "grey", float(error.std(correction=0))),
        row("slice_error_max", along, float(error.abs().max()), "grey"),
        row("slice_mae", along, float(mae.mean()), "grey", float(mae.std(correction=0))),
        row("layer_contrast", along, difference),
        row("layer_contrast_truth", along, truth),
        row("periodic_error", along, periodic_error_fraction(mae.numpy(), factor)),
        *(row("continuity", name, ratio) for name, ratio in zip(AXES, ratios, strict=True)),
    ]


def anisotropy_rows(scope: Scope, anisotropy: Iterable[Sequence[float]], note: str = "") -> list[Score]:
    """Rows power_anisotropy (reconstruction minus truth) and power_anisotropy_truth, log10, means over blocks."""
    pairs = np.array([pair for pair in anisotropy if np.isfinite(pair).all()], dtype=np.float64).reshape(-1, 2)
    rows = []
    for variant, values in (("power_anisotropy", pairs[:, 1] - pairs[:, 0]), ("power_anisotropy_truth", pairs[:, 0])):
        value = float(values.mean()) if len(values) else None
        std = float(values.std()) if len(values) > 1 else None
        why = note or ("" if len(values) else "no power in a cone")
        rows.append(Score("axial", variant, "volume", scope.range, scope.block, value, "log10", std, note=why))
    return rows
