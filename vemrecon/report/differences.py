"""`differences`: why a published number and one of ours cannot be compared, from what is known of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vemrecon.report.published import PublishedScore

AXES = {"EPFL": "z", "FIB-25": "z", "CREMI": "y"}
"""Axis that the papers degrade; y where a dataset has no isotropic truth and is scored on its xy sections."""

VOXELS = {("EMGauss", "FIB-25"): 8.0, ("D2R-AENet", "FIB-25"): 10.0, ("D2R-DGEAN", "FIB-25"): 10.0}
"""Lateral voxel in nm as a paper states it; the other datasets have one value that nobody disputes."""

REGIONS = {("IsoVEM", "EPFL"), ("VEMamba", "CREMI")}
"""Paper and dataset where text or released code says which voxels are scored."""

SMALL = {"fib25s": "our sample is a cube of 250 voxels"}
PARTS = {
    "lost frames": "filled sections only, approximate",
    "single displayed section": "one displayed section only",
    "smaller EPFL test set": "an ablation on a smaller test set",
    "ablation averaged": "an ablation, mean of two datasets",
}
"""What a note says about a number that is not the score of a reconstruction of the test volume."""

DOUBTS = ("inconsistent with", "exchanged", "attributed to", "D2R-SRUNet has", "printed as vEMDiffuse", "PSNR here is")
"""What a note says of a label or number that does not fit another one."""

SEGMENTATION = {"iou", "dice", "are", "voi"}


def differences(
    scores: Sequence[PublishedScore], task: Mapping[str, Any], card: Mapping[str, Any], splits: Mapping[str, Any]
) -> tuple[str, ...]:
    """Reasons against comparing, the most important one first; none if the line is comparable.

    Args:
        scores: Numbers of one line: one paper, table, method, dataset and scale.
        task: The task of our table, on the same tissue and at the same scale.
        card: The card of our dataset.
        splits: All splits of our dataset; those with a `paper` are the regions of papers.
    """
    return tuple(dict.fromkeys(_reasons(scores, task, card, splits)))


def _reasons(
    scores: Sequence[PublishedScore], task: Mapping[str, Any], card: Mapping[str, Any], splits: Mapping[str, Any]
) -> Iterator[str]:
    first = scores[0]
    notes = " ".join(score.note for score in scores)
    yield from (reason for words, reason in PARTS.items() if words in notes)
    if first.part:
        yield "of one neuron only"
    if task["axis"] != AXES[first.dataset]:
        yield f"degraded along {AXES[first.dataset]}, ours along {task['axis']}"
    yield from _degradation(first.degradation, task.get("degradation") or {})
    if first.supervision == "none" and first.degradation == "subsample":
        yield "this baseline looks shifted by half a slab"
    if task["dataset"] in SMALL:
        yield SMALL[task["dataset"]]
    yield from _region(first, str(task["split"]), splits, notes)
    yield from _voxels(first, card.get("voxel_size"))
    yield from _measures(scores, notes)
    if any(words in notes for words in DOUBTS):
        yield "a label or number is in doubt"


def _degradation(theirs: str, ours: Mapping[str, Any]) -> Iterator[str]:
    name, arguments = str(ours.get("name") or "none"), ours.get("arguments") or {}
    if theirs == "unknown":
        yield "degradation not stated"
    elif theirs == "realistic" and name.startswith("realistic"):
        yield "strength of blur and noise not stated"
    elif theirs != name:
        yield f"degradation {theirs}, ours {name}"
    elif arguments:
        yield f"ours with {', '.join(f'{key}={value}' for key, value in sorted(arguments.items()))}"


def _region(score: PublishedScore, split: str, splits: Mapping[str, Any], notes: str) -> Iterator[str]:
    if (score.paper, score.dataset) not in REGIONS:
        block = next((side for side in (500, 512) if "x".join([str(side)] * 3) in notes), 0)
        yield f"region not given, one block of {block}³ voxels" if block else "region not given"
    elif (splits.get(split) or {}).get("paper") != score.paper:
        own = (name for name, facts in splits.items() if facts.get("paper") == score.paper)
        named = [name for name in own if splits[name].get("use") == "numbers of the paper"]
        yield f"region differs, that of the paper is split {', '.join(named)}" if named else "region differs"
    groups = [facts["group"] for facts in splits.values() if split in facts.get("group", ())]
    if groups:
        yield f"one value for the dataset, ours is one of {len(groups[0])} samples"


def _voxels(score: PublishedScore, ours: Sequence[float] | None) -> Iterator[str]:
    theirs = VOXELS.get((score.paper, score.dataset))
    if theirs and ours and theirs != ours[-1]:
        yield f"voxels of {theirs:g} nm, ours {ours[-1]:g} nm"


def _measures(scores: Sequence[PublishedScore], notes: str) -> Iterator[str]:
    first, measures = scores[0], {score.measure for score in scores}
    if first.paper == "VEMamba" and first.dataset == "EPFL" and measures & {"psnr", "ssim", "lpips"}:
        yield "plane not stated"
    if "ssim" in measures:
        yield "SSIM window not stated"
        if (first.paper, first.dataset, first.method) == ("VEMamba", "CREMI", "VEMamba"):
            yield "SSIM implausible beside its PSNR"
    if "lpips" in measures:
        yield "LPIPS network not stated"
    if "fsim" in measures:
        yield "FSIM implementation not stated"
    if "fsc" in measures:
        yield "direction of the FSC not stated"
    if measures & SEGMENTATION:
        yield "its own segmenter and reference labels"
    if "value rounded" in notes:
        yield "rounded"
