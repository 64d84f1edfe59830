"""From values per section or block to `Score` rows: what is left out, what is missing and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from vemrecon.metrics.fsc import DIRECTIONS, ShellCurve
from vemrecon.metrics.isotropy import layer_contrast, periodic_error_fraction
from vemrecon.metrics.score import Score
from vemrecon.metrics.sections import PLANES
from vemrecon.volume.region import Region

AXES = "zyx"


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
        kept = self.kept if PLANES[plane] == self.axis else frozenset()
        defects = self.defects if plane == "xy" else frozenset()
        return [("kept", kept - defects), ("defect", defects)]


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
        for plane in PLANES
        if plane in values
    ]
    if len(rows) == len(PLANES):
        found = [row.value for row in rows if row.value is not None]
        mean = sum(found) / len(found) if len(found) == len(PLANES) else None
        note = "" if mean is not None else "not defined in every plane"
        rows.append(Score(metric, variant, "mean", scope.range, scope.block, mean, unit, note=note))
    if "volume" in values:
        volume = values["volume"].reshape(-1)
        note = undefined if not len(volume) else "" if bool(volume.isfinite().all()) else "identical"
        value = None if note else float(volume[0])
        rows.append(Score(metric, variant, "volume", scope.range, scope.block, value, unit, note=note))
    return rows


def _plane_row(row: Score, scope: Scope, sections: Tensor, left_out: LeftOut) -> Score:
    first = scope.region.start[PLANES[row.plane]]
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
    return Score(row.metric, row.variant, row.plane, row.range, row.block, value, row.unit, std, count, note)


def missing_fsc_rows(variant: str, scope: Scope, note: str) -> list[Score]:
    """Rows of an FSC that cannot be computed."""
    return [
        Score("fsc", variant, name, scope.range, scope.block, None, "" if name == "ratio" else "nm", note=note)
        for name in (*DIRECTIONS, "lateral", "ratio")
    ]


def fsc_rows(variant: str, scope: Scope, blocks: Sequence[Mapping[str, ShellCurve]], axis: int) -> list[Score]:
    """Rows all, z, y, x, lateral (mean of the two lateral resolutions) and ratio (axial over lateral).

    With several blocks a row holds the mean over those that have a value; the note tells flags other than `crossing`.
    """
    lateral = [name for k, name in enumerate(AXES) if k != axis]
    parts = {**{name: (name,) for name in DIRECTIONS}, "lateral": lateral, "ratio": (AXES[axis], *lateral)}
    rows = []
    for name, directions in parts.items():
        values, flags = [], Counter[str]()
        for curves in blocks:
            found = {direction: curves[direction].resolution() for direction in directions}
            flags.update({flag for _, flag in found.values() if flag != "crossing"})
            resolutions = [value for value, _ in found.values()]
            known = [value for value in resolutions if value is not None]
            if len(known) == len(resolutions):
                values.append(_combined(name, known))
        of = f" in {{}} of {len(blocks)} blocks" if len(blocks) > 1 else ""
        note = ", ".join(flag + of.format(count) for flag, count in sorted(flags.items()))
        std = float(np.std(values)) if len(values) > 1 else None
        value = float(np.mean(values)) if values else None
        unit = "" if name == "ratio" else "nm"
        count = len(blocks) if len(blocks) > 1 else None
        rows.append(Score("fsc", variant, name, scope.range, scope.block, value, unit, std, count, note))
    return rows


def _combined(name: str, resolutions: Sequence[float]) -> float:
    if name == "ratio":
        return resolutions[0] / (0.5 * (resolutions[1] + resolutions[2]))
    return sum(resolutions) / len(resolutions)


def continuity_rows(scope: Scope, sums: Mapping[str, Tensor], axis: int, scale: float | None) -> list[Score]:
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
    factor = int(scale) if scale is not None and float(scale).is_integer() else 0  # 0: no section grid to look for
    truth, result = (layer_contrast(steps.reshape(-1).numpy(), first, factor) for steps in sums["steps"])
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
