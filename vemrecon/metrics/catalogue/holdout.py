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
    found = {"": section_means(voxels[dropped], predicted), "_neighbours": section_means(voxels[dropped], neighbours)}
    evidence.spend(float(WORK * evidence.ranges["all"].voxels))
    return _rows(found, len(dropped))


def halfway(made: Volume, k: int, grid: SectionGrid) -> NDArray[np.float32]:
    """The reconstruction half-way between observed sections k and k + 1, shape (y, x)."""
    import numpy as np

    from vemrecon.volume.region import Region

    at = grid.halfway(k)
    low = int(np.floor(at))
    share = at - low
    pair = made.read(Region((low, 0, 0), (low + (2 if share else 1), *made.shape[1:])))
    return np.asarray((1 - share) * pair[0] + share * pair[-1], dtype=np.float32)


def section_means(truth: NDArray[np.float32], prediction: NDArray[np.float32]) -> dict[str, Score]:
    """PSNR and SSIM over xy sections, by metric."""
    import numpy as np

    from vemrecon.metrics.evaluate import evaluate
    from vemrecon.volume import Volume, VoxelSize

    a, b = (
        Volume(np.ascontiguousarray(v, dtype=np.float32), VoxelSize(1, 1, 1), "held-out sections")
        for v in (truth, np.clip(prediction, 0, 1))
    )
    found = evaluate(a, b, metrics=("psnr", "ssim"), ranges={"all": a.whole}).scores
    return {score.metric: score for score in found if score.plane == "xy"}


def _rows(found: dict[str, dict[str, Score]], count: int) -> list[Score]:
    rows = []
    for metric, unit in (("psnr", "dB"), ("ssim", "")):
        for suffix, scores in found.items():
            score = scores[metric]
            rows.append(_row(metric + suffix, score.value, unit, score.std, count, score.note))
        mine, beside = (scores[metric].value for scores in found.values())
        gain = mine - beside if mine is not None and beside is not None else None
        rows.append(_row(f"{metric}_gain", gain, unit, note="" if gain is not None else "no value"))
    return rows


def _row(
    variant: str, value: float | None, unit: str, std: float | None = None, count: int | None = None, note: str = ""
) -> Score:
    return Score("holdout", variant, "xy", "all", "all", value, unit, std, count, note, reference=Reference.RECORDED)


SPEC = MetricSpec(
    "holdout", "recorded sections dropped, and predicted from the others", _columns, _scores,
    kinds=frozenset({NATIVE}), needs=frozenset({Need.METHOD}), work=WORK, place=100,
)  # fmt: skip
SPECS = (SPEC,)
