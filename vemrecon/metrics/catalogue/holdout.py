"""Held-out sections: every second recorded section dropped, and predicted from the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Need, Reference, Score
from vemrecon.metrics.spec import NATIVE, MetricSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vemrecon.metrics.evidence import Evidence
    from vemrecon.volume import SectionGrid, Volume

WORK = 40
WORDS = "every second section dropped and predicted"


def _columns(kind: str, axis: str) -> Sequence[Column]:
    def column(label: str, variant: str, unit: str, rank: int, words: str, *, default: bool = True) -> Column:
        style = "2" if unit else "4"
        return Column(
            "holdout", "xy", "Held-out sections", label, Better.HIGH, style, unit, variant, False, default, rank, words,
            reference=Reference.RECORDED,
        )  # fmt: skip

    beside = "of the mean of both neighbours instead"
    return (
        column("PSNR", "psnr", "dB", 0, WORDS),
        column("over neighbours", "psnr_gain", "dB", 1, f"{WORDS}: PSNR above that of the mean of both neighbours"),
        column("SSIM", "ssim", "", 8, WORDS),
        column("SSIM over neighbours", "ssim_gain", "", 9, f"{WORDS}: SSIM above that of the mean", default=False),
        column("PSNR of neighbours", "psnr_neighbours", "dB", 9, f"PSNR {beside}", default=False),
        column("SSIM of neighbours", "ssim_neighbours", "", 9, f"SSIM {beside}", default=False),
    )


def _scores(evidence: Evidence) -> Iterable[Score]:
    """The method sees the remaining stack as if it were the observed one, and makes `scale` sections of each; what it
    makes at the centre of a dropped section is compared with it. Beside it stands the mean of the two neighbours.

    Source: datasets.md, reference-free measures; metrics.md, section 7.
    """
    import numpy as np

    from vemrecon.metrics.evidence import recorded_in_memory
    from vemrecon.metrics.kept_back import kept_back_scores

    observed = evidence.observed
    assert observed is not None and evidence.method is not None and evidence.grid is not None
    voxels = recorded_in_memory(evidence)
    if isinstance(voxels, str):
        return SPEC.blank(evidence, voxels)
    defects = set(evidence.defects)
    dropped = [z for z in range(1, len(voxels) - 1, 2) if not {z - 1, z, z + 1} & defects]
    if not dropped:
        return SPEC.blank(evidence, "fewer than three intact sections")
    size = observed.voxel_size and observed.voxel_size.scaled(0, 2)
    kept = replace(observed.with_voxels(voxels[::2]), voxel_size=size)
    with evidence.method.reconstructed(kept) as made:
        predicted = np.stack([halfway(made, (z - 1) // 2, evidence.grid) for z in dropped])
    neighbours = np.stack([0.5 * (voxels[z - 1] + voxels[z + 1]) for z in dropped])
    evidence.spend(float(WORK * evidence.ranges["all"].voxels))
    return kept_back_scores("holdout", voxels[dropped], predicted, neighbours)


def halfway(made: Volume, k: int, grid: SectionGrid) -> NDArray[np.float32]:
    """The reconstruction half-way between observed sections k and k + 1, shape (y, x)."""
    import numpy as np

    from vemrecon.volume.region import Region

    at = grid.halfway(k)
    low = int(np.floor(at))
    share = at - low
    pair = made.read(Region((low, 0, 0), (low + (2 if share else 1), *made.shape[1:])))
    return np.asarray((1 - share) * pair[0] + share * pair[-1], dtype=np.float32)


SPEC = MetricSpec(
    "holdout", "recorded sections dropped, and predicted from the others", _columns, _scores,
    kinds=frozenset({NATIVE}), needs=frozenset({Need.METHOD}), work=WORK, place=100,
)  # fmt: skip
SPECS = (SPEC,)
