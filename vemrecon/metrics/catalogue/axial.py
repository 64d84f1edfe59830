"""Axial measures: errors section by section, layers at recorded sections, and how smooth the degraded axis is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import REFERENCE, MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

LOW, ONE, ZERO, NEITHER = Better.LOW, Better.ONE, Better.ZERO, Better.NEITHER


def _columns(kind: str, axis: str) -> Sequence[Column]:
    def column(
        label: str, variant: str, plane: str, better: Better, style: str, words: str, unit: str = "", *,
        default: bool = False,
    ) -> Column:  # fmt: skip
        return Column("axial", plane, "Axial", label, better, style, unit, variant, False, default, help=words)

    return (
        column("mean |e|", "slice_mae", axis, LOW, "2", "mean absolute error of a section", "grey"),
        column("|mean e|", "slice_error", axis, LOW, "2",
               "size of the mean error of a section, mean over sections: too bright or too dark as a whole", "grey"),
        column("worst |mean e|", "slice_error_max", axis, LOW, "2", "the same of the worst section", "grey"),
        column("periodic error", "periodic_error", axis, NEITHER, "3",
               "fraction of the changes of the error along the axis that repeats with the recorded sections"),
        column("layer contrast", "layer_contrast", axis, ZERO, "3",
               "steps at the borders of recorded sections against those inside, minus the same of the truth",
               default=True),
        *(column(f"continuity {name}", "continuity", name, ONE, "3",
                 f"mean step between voxels along {name} over that of the truth; below 1: too smooth",
                 default=name == axis)
          for name in "zyx"),
        column("layer contrast of the truth", "layer_contrast_truth", axis, NEITHER, "3", "the same of the truth"),
        column("power", "power_anisotropy", "volume", ZERO, "3",
               "axial over lateral power in the middle band, minus that of the truth", "log10"),
        column("power of the truth", "power_anisotropy_truth", "volume", NEITHER, "3",
               "axial over lateral power of the truth in the middle band", "log10"),
    )  # fmt: skip


def _accumulator(evidence: Evidence) -> Any:
    from vemrecon.metrics.isotropy import AxialContinuity

    return AxialContinuity(evidence.regions, evidence.axis)


def _power(evidence: Evidence, blocks: Sequence[Any]) -> Any:
    from vemrecon.metrics.isotropy import PowerAnisotropy

    return PowerAnisotropy(blocks[0].shape, evidence.voxel_size, len(blocks), evidence.axis)


def _scores(evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.passes import too_short
    from vemrecon.metrics.rows import anisotropy_rows, continuity_rows

    sums = dict(zip(evidence.regions, evidence.shown["axial"].compute(), strict=True))
    for scope in evidence.scopes:
        yield from continuity_rows(scope, sums[scope.region], evidence.axis, evidence.grid)
        note = too_short(scope.region)
        found = [] if note else evidence.spectra["axial"][scope.region].compute().reshape(-1, 2).tolist()
        yield from anisotropy_rows(scope, found, note)


SPECS = (
    MetricSpec(
        "axial", "errors along the axis, layers at recorded sections, continuity", _columns, _scores,
        kinds=frozenset({REFERENCE}), tiles=_accumulator, spectra=_power, place=70,
    ),
)  # fmt: skip
