"""Filled sections: recorded sections removed, and filled by methods that can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Need, Reference, Score
from vemrecon.metrics.spec import NATIVE, MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence

WORK = 20


def _columns(kind: str, axis: str) -> Sequence[Column]:
    def column(label: str, variant: str, words: str, *, default: bool = False) -> Column:
        return Column(
            "inpainting", "xy", "Filled sections", label, Better.HIGH, "2", "dB", variant, False, default, help=words,
            reference=Reference.RECORDED,
        )  # fmt: skip

    return (
        column("over neighbours", "psnr_gain",
               "three sections removed and filled: PSNR above that of the mean of both neighbours", default=True),
        column("PSNR", "psnr", "three sections removed and filled"),
        column("PSNR of neighbours", "psnr_neighbours", "of the mean of both neighbours instead"),
    )  # fmt: skip


def _scores(evidence: Evidence) -> Iterable[Score]:
    """Sections at a quarter, half and three quarters of the stack removed and filled, against the recorded ones."""
    import numpy as np

    from vemrecon.metrics.evidence import recorded_in_memory

    observed = evidence.observed
    assert observed is not None and evidence.method is not None
    if isinstance(why := recorded_in_memory(evidence), str):
        return SPEC.blank(evidence, why)
    n = observed.shape[0]
    sections = sorted({z for z in (n // 4, n // 2, 3 * n // 4) if 0 < z < n - 1 and z not in evidence.defects})
    if not sections:
        return SPEC.blank(evidence, "too few sections")
    pairs = evidence.method.filled(observed, sections)
    evidence.spend(float(WORK * evidence.ranges["all"].voxels))
    if pairs is None:
        return SPEC.blank(evidence, "the method does not fill missing sections")
    if not pairs:
        return SPEC.blank(evidence, "nothing to compare with: the removed sections are blank")
    mine, neighbours = (float(np.mean(values)) for values in zip(*pairs, strict=True))
    values = {"psnr": mine, "psnr_neighbours": neighbours, "psnr_gain": mine - neighbours}
    return [
        Score("inpainting", variant, "xy", "all", "all", value, "dB", count=len(pairs), reference=Reference.RECORDED)
        for variant, value in values.items()
    ]


SPEC = MetricSpec(
    "inpainting", "recorded sections removed, and filled by methods that can", _columns, _scores,
    kinds=frozenset({NATIVE}), needs=frozenset({Need.METHOD}), work=WORK, place=120,
)  # fmt: skip
SPECS = (SPEC,)
