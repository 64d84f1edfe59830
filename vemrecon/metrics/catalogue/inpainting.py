"""Filled sections: recorded sections removed, and filled by methods that can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Need, Reference, Score
from vemrecon.metrics.spec import NATIVE, REFERENCE, MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence, FilledSections

WORK = 20


def _columns(kind: str, axis: str) -> Sequence[Column]:
    removed = "three sections removed and filled" if kind == NATIVE else "sections that the task removes, filled"

    def column(label: str, variant: str, words: str, *, default: bool = False) -> Column:
        unit = "dB" if variant.startswith("psnr") else ""
        style = "2" if unit else "4"
        return Column(
            "inpainting", "xy", "Filled sections", label, Better.HIGH, style, unit, variant, False, default, help=words,
            reference=Reference.RECORDED,
        )  # fmt: skip

    asked, beside = kind == REFERENCE, "of the mean of both neighbours instead"
    return (
        column("over neighbours", "psnr_gain",
               f"{removed}: PSNR above that of the mean of both neighbours", default=True),
        column("PSNR", "psnr", removed, default=asked),
        column("PSNR of neighbours", "psnr_neighbours", f"PSNR {beside}"),
        column("SSIM", "ssim", removed, default=asked),
        column("SSIM over neighbours", "ssim_gain", f"{removed}: SSIM above that of the mean"),
        column("SSIM of neighbours", "ssim_neighbours", f"SSIM {beside}"),
    )  # fmt: skip


def _scores(evidence: Evidence) -> Iterable[Score]:
    """Of the sections that the task has removed; in native tasks those at a quarter, half and three quarters of the
    stack, which are removed for this score alone.
    """
    import numpy as np

    from vemrecon.metrics.kept_back import kept_back_scores

    found = evidence.filled or _removed_here(evidence)
    evidence.spend(float(WORK * evidence.ranges["all"].voxels))
    if isinstance(found, str):
        return SPEC.blank(evidence, found)
    shown = np.ptp(found.removed, axis=(1, 2)) > 0
    if not shown.any():
        return SPEC.blank(evidence, "nothing to compare with: the removed sections are blank")
    return kept_back_scores("inpainting", found.removed[shown], found.filled[shown], found.neighbours[shown])


def _removed_here(evidence: Evidence) -> FilledSections | str:
    """Recorded sections removed and filled, or why there are none."""
    from vemrecon.metrics.evidence import recorded_in_memory

    observed = evidence.observed
    assert observed is not None and evidence.method is not None
    if evidence.kind != NATIVE:
        return "no section is missing"
    if isinstance(why := recorded_in_memory(evidence), str):
        return why
    n = observed.shape[0]
    sections = sorted({z for z in (n // 4, n // 2, 3 * n // 4) if 0 < z < n - 1 and z not in evidence.defects})
    if not sections:
        return "too few sections"
    return evidence.method.filled(observed, sections) or "the method does not fill missing sections"


SPEC = MetricSpec(
    "inpainting", "recorded sections removed, and filled by methods that can", _columns, _scores,
    version=2, kinds=frozenset({NATIVE}), gaps=frozenset({REFERENCE}), needs=frozenset({Need.METHOD}), work=WORK,
    place=120,
)  # fmt: skip
SPECS = (SPEC,)
