"""PSNR: the peak signal over the error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import MetricSpec, section_columns

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence


def _accumulator(evidence: Evidence) -> Any:
    from vemrecon.metrics.psnr import PeakSignalNoiseRatio

    return PeakSignalNoiseRatio(evidence.regions)


def _scores(evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.rows import section_scores

    values = dict(zip(evidence.regions, evidence.shown["psnr"].compute(), strict=True))
    return section_scores(evidence, "psnr", "", "dB", values, "not defined")


SPECS = (
    MetricSpec(
        "psnr",
        "peak signal-to-noise ratio",
        section_columns(
            "psnr", "PSNR", "peak signal-to-noise", unit="dB", style="2", volume="all voxels",
            default=("volume", "xy", "xz", "yz"), lateral=("xy", "volume"),
            ranks={"volume": 0, "xy": 4, "xz": 5, "yz": 7},
        ),
        _scores,
        tiles=_accumulator,
        place=10,
    ),
)  # fmt: skip
