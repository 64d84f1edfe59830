"""FRC: resolution within sections, for volumes whose sections cannot be compared in 3D."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import LATERAL, MetricSpec

if TYPE_CHECKING:
    from vemrecon.metrics.evidence import Evidence


def _columns(kind: str, axis: str) -> Sequence[Column]:
    words = {
        "y": "resolution along y, the degraded axis, at a ring correlation of 0.5",
        "x": "resolution along x, which is intact, at a ring correlation of 0.5",
        "ratio": "resolution along y over along x",
        "all": "resolution in all directions at a ring correlation of 0.5",
    }
    return tuple(
        Column(
            "frc", plane, "FRC", plane, Better.ONE if plane == "ratio" else Better.LOW,
            "2" if plane == "ratio" else "1", "" if plane == "ratio" else "nm", "hann",
            default=plane != "all", rank={"y": 2, "ratio": 3}.get(plane, 9), help=text,
        )
        for plane, text in words.items()
    )  # fmt: skip


def _scores(evidence: Evidence) -> Iterable[Score]:
    from vemrecon.metrics.frc import ring_correlation

    found = ring_correlation(*evidence.pair, evidence.ranges, evidence.defects)
    evidence.curves |= found.curves
    evidence.spend(8.0 * sum(region.voxels for region in evidence.ranges.values()))
    return found.scores


SPECS = (
    MetricSpec(
        "frc", "Fourier ring correlation: resolution in nm within sections", _columns, _scores,
        kinds=frozenset({LATERAL}), work=8, place=80,
    ),
)  # fmt: skip
