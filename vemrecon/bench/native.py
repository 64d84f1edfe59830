"""Scores of a native task, where real z is reconstructed and no truth is known."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.inpainting import fill_sections, fills
from vemrecon.data.source import IN_MEMORY_BYTES, in_memory
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.base import Method
from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.native import isotropy_scores, missing, native_score
from vemrecon.metrics.score import Score
from vemrecon.metrics.uncertainty import NO_SPREAD, uncertainty_scores
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, open_volume

Float32 = NDArray[np.float32]
UNCERTAINTY = (("mean", "volume", "grey"), ("p99", "volume", "grey"))
HOLDOUT = tuple(
    (f"{metric}{suffix}", "xy", "dB" if metric == "psnr" else "")
    for metric in ("psnr", "ssim")
    for suffix in ("", "_neighbours", "_gain")
)
INPAINTING = (("psnr", "xy", "dB"), ("psnr_neighbours", "xy", "dB"), ("psnr_gain", "xy", "dB"))


def score_native(
    method: Method,
    name: str,
    observed: Volume,
    reconstruction: Volume,
    spread: Volume | None,
    metrics: Sequence[str],
    defects: Sequence[int],
    scratch: Path,
    device: str,
    progress: Callable[[float], None],
) -> list[dict[str, Any]]:
    """Rows of a native task: held-out sections, isotropy, disagreement of rotations, filled sections.

    Args:
        method: Ready to reconstruct; held-out and removed sections are reconstructed with it.
        name: Of the method, for messages.
        observed: The anisotropic volume, with its grid.
        reconstruction: What the method made of it.
        spread: Its uncertainty, if it has one.
        metrics: Names out of `KIND_METRICS["native"]`.
        defects: Damaged sections.
        scratch: Folder for intermediate volumes; removed at the end.
        device: Where the method runs.
        progress: Told the finished share.
    """
    rows: list[Score] = []
    if size := too_large(observed):  # a reconstruction is not lost because a score cannot be had
        rows += missing("holdout", HOLDOUT, size) if "holdout" in metrics else ()
        rows += missing("inpainting", INPAINTING, size) if "inpainting" in metrics else ()
        metrics = [metric for metric in metrics if metric not in ("holdout", "inpainting")]
    if "holdout" in metrics:
        rows += holdout_scores(method, observed, defects, scratch, device, lambda share: progress(0.7 * share))
    if "isotropy" in metrics:
        rows += isotropy_scores(reconstruction, observed.require_grid().scale)
    progress(0.8)
    if "uncertainty" in metrics and spread is not None:
        rows += uncertainty_scores(spread)
    elif "uncertainty" in metrics:
        rows += missing("uncertainty", UNCERTAINTY, NO_SPREAD)
    if "inpainting" in metrics:
        rows += inpainting_scores(method, name, observed, defects)
    progress(1.0)
    return [asdict(row) for row in rows]


def too_large(observed: Volume) -> str:
    """Why sections of a volume cannot be held out or removed; empty if they can."""
    size = observed.whole.voxels * 4
    if size <= IN_MEMORY_BYTES:
        return ""
    return f"needs the observed volume in memory: {size / 2**30:.1f} GiB, at most {IN_MEMORY_BYTES / 2**30:.0f}"


def holdout_scores(
    method: Method,
    observed: Volume,
    defects: Sequence[int],
    scratch: Path,
    device: str,
    progress: Callable[[float], None],
) -> list[Score]:
    """Every second section dropped, and predicted from the others at its own place.

    The method sees the remaining stack as if it were the observed one and makes as many sections of each; what it
    makes at the centre of a dropped section is compared with it. Beside it stands the mean of the two neighbours.

    Source: datasets.md, reference-free measures; metrics.md, section 7.
    """
    voxels = in_memory(observed)
    dropped = [z for z in range(1, len(voxels) - 1, 2) if not {z - 1, z, z + 1} & set(defects)]
    if not dropped:
        return list(missing("holdout", HOLDOUT, "fewer than three intact sections"))
    size = observed.voxel_size and observed.voxel_size.scaled(0, 2)
    kept = plain(observed, voxels[::2], size)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    reconstruct_volume(method, kept, scratch / "kept.zarr", like=kept, device=device, progress=progress)
    made = open_volume(scratch / "kept.zarr")
    predicted = np.stack([between(made, (z - 1) // 2, observed.require_grid()) for z in dropped])
    neighbours = np.stack([0.5 * (voxels[z - 1] + voxels[z + 1]) for z in dropped])
    found = {"": section_means(voxels[dropped], predicted), "_neighbours": section_means(voxels[dropped], neighbours)}
    shutil.rmtree(scratch, ignore_errors=True)
    rows = []
    for metric, unit in (("psnr", "dB"), ("ssim", "")):
        for suffix, scores in found.items():
            value, std, note = scores[metric]
            rows.append(native_score("holdout", metric + suffix, "xy", value, unit, note, std, len(dropped)))
        pair = [scores[metric][0] for scores in found.values()]
        gain = pair[0] - pair[1] if pair[0] is not None and pair[1] is not None else None
        rows.append(native_score("holdout", f"{metric}_gain", "xy", gain, unit, "" if gain is not None else "no value"))
    return rows


def plain(volume: Volume, voxels: Float32, size: VoxelSize | None) -> Volume:
    """A volume of voxels in memory, with the sections' grid."""
    return replace(volume, array=voxels, voxel_size=size, intensity_range=(0.0, 1.0), start=(0, 0, 0), extent=None)


def between(made: Volume, k: int, grid: SectionGrid) -> Float32:
    """The reconstruction half-way between observed sections k and k + 1, shape (y, x)."""
    at = grid.halfway(k)
    low = math.floor(at)
    share = at - low
    pair = made.read(Region((low, 0, 0), (low + (2 if share else 1), *made.shape[1:])))
    return np.asarray((1 - share) * pair[0] + share * pair[-1], dtype=np.float32)


def section_means(truth: Float32, prediction: Float32) -> dict[str, tuple[float | None, float | None, str]]:
    """PSNR and SSIM over xy sections: mean, standard deviation, note."""
    a, b = (
        Volume(np.ascontiguousarray(v, dtype=np.float32), VoxelSize(1, 1, 1), "held-out sections")
        for v in (truth, np.clip(prediction, 0, 1))
    )
    rows = evaluate(a, b, metrics=("psnr", "ssim"), ranges={"all": a.whole}).scores
    return {row.metric: (row.value, row.std, row.note) for row in rows if row.plane == "xy"}


def inpainting_scores(method: Method, name: str, observed: Volume, defects: Sequence[int]) -> list[Score]:
    """Sections at a quarter, half and three quarters of the stack removed and filled, against the recorded ones."""
    n = observed.shape[0]
    sections = sorted({z for z in (n // 4, n // 2, 3 * n // 4) if 0 < z < n - 1 and z not in defects})
    if not fills(method):
        return list(missing("inpainting", INPAINTING, "the method does not fill missing sections"))
    if not sections:
        return list(missing("inpainting", INPAINTING, "too few sections"))
    _, filled = fill_sections(method, name, observed, sections)
    psnr = [f.psnr for f in filled if f.psnr is not None]
    neighbours = [f.neighbours_psnr for f in filled if f.neighbours_psnr is not None]
    values = (float(np.mean(psnr)), float(np.mean(neighbours)), float(np.mean(psnr) - np.mean(neighbours)))
    return [
        native_score("inpainting", variant, plane, value, unit, count=len(psnr))
        for (variant, plane, unit), value in zip(INPAINTING, values, strict=True)
    ]
