"""FSC: the resolution at which two volumes still agree, along every direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import REFERENCE, MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

TAPERS = {"fsc": "hann", "fsc_none": "none"}
"""Metric name to the taper before the Fourier transform, which is the variant that its scores carry."""


def _columns(name: str, kind: str, axis: str) -> Sequence[Column]:
    words = {
        axis: f"resolution along {axis} at a correlation of 0.5",
        "lateral": "lateral resolution at a correlation of 0.5",
        "ratio": "axial over lateral resolution",
        "all": "resolution in all directions at a correlation of 0.5",
        **{other: f"resolution along {other} at a correlation of 0.5" for other in "zyx" if other != axis},
    }
    ranks = {axis: 2, "ratio": 3, "lateral": 7}
    return tuple(
        Column(
            "fsc", plane, "FSC" if name == "fsc" else "FSC no taper", plane,
            Better.ONE if plane == "ratio" else Better.LOW, "2" if plane == "ratio" else "1",
            "" if plane == "ratio" else "nm", TAPERS[name], name == "fsc", plane in (axis, "lateral", "ratio"),
            ranks.get(plane, 9), text,
        )
        for plane, text in words.items()
    )  # fmt: skip


def _accumulator(name: str, evidence: Evidence, blocks: Sequence[Any]) -> Any:
    from vemrecon.metrics.fsc import FourierShellCorrelation

    return FourierShellCorrelation(blocks[0].shape, evidence.voxel_size, len(blocks), TAPERS[name])


def _scores(name: str, evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.passes import too_short
    from vemrecon.metrics.power import mean_power
    from vemrecon.metrics.rows import fsc_rows, mean_curves, missing_fsc_rows

    for scope in evidence.scopes:
        if note := too_short(scope.region):
            yield from missing_fsc_rows(TAPERS[name], scope, note)
            continue
        shown = evidence.spectra[name][scope.region]
        curves = shown.curves()
        yield from fsc_rows(TAPERS[name], scope, curves, evidence.axis)
        if scope.block == "all":
            evidence.curves.setdefault(name, {})[scope.range] = mean_curves(curves)
            if name == "fsc":
                evidence.curves.setdefault("power", {})[scope.range] = mean_power(shown)


SPECS = tuple(
    MetricSpec(
        name,
        f"Fourier shell correlation: resolution in nm at 0.5{'' if taper == 'hann' else ', without a taper'}",
        partial(_columns, name),
        partial(_scores, name),
        kinds=frozenset({REFERENCE}),
        spectra=partial(_accumulator, name),
        place=60 + n,
    )
    for n, (name, taper) in enumerate(TAPERS.items())
)
