"""`differences`: why a published number and one of ours cannot be compared, from what is known of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vemrecon.bench.spec import DegradationVariant, Task
from vemrecon.report.published import PublishedScore, published_facts

SEGMENTATION = {"iou", "dice", "are", "voi"}


def differences(
    scores: Sequence[PublishedScore], task: Task, card: Mapping[str, Any], splits: Mapping[str, Any]
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
    scores: Sequence[PublishedScore], task: Task, card: Mapping[str, Any], splits: Mapping[str, Any]
) -> Iterator[str]:
    first, facts = scores[0], published_facts()
    notes = " ".join(score.note for score in scores)
    yield from (reason for words, reason in facts["parts"].items() if words in notes)
    if first.part:
        yield "of one neuron only"
    axis = facts["datasets"][first.dataset]["axis"]
    if task.axis != axis:
        yield f"degraded along {axis}, ours along {task.axis}"
    yield from _degradation(first.degradation, task.degradation)
    if first.supervision == "none" and first.degradation == "subsample":
        yield "this baseline looks shifted by half a slab"
    if task.dataset in facts["small"]:
        yield facts["small"][task.dataset]
    yield from _region(first, task.split, splits, notes)
    yield from _voxels(first, card.get("voxel_size"))
    yield from _measures(scores, notes)
    if any(words in notes for words in facts["doubts"]):
        yield "a label or number is in doubt"


def _degradation(theirs: str, ours: DegradationVariant) -> Iterator[str]:
    name, arguments = ours.name, ours.arguments
    if theirs == "unknown":
        yield "degradation not stated"
    elif theirs == "realistic" and name.startswith("realistic"):
        yield "strength of blur and noise not stated"
    elif theirs != name:
        yield f"degradation {theirs}, ours {name}"
    elif arguments:
        yield f"ours with {', '.join(f'{key}={value}' for key, value in sorted(arguments.items()))}"


def _region(score: PublishedScore, split: str, splits: Mapping[str, Any], notes: str) -> Iterator[str]:
    if not any(_about(score, fact) for fact in published_facts()["regions"]):
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
    theirs = next((fact["nm"] for fact in published_facts()["voxels"] if _about(score, fact)), None)
    if theirs and ours and theirs != ours[-1]:
        yield f"voxels of {theirs:g} nm, ours {ours[-1]:g} nm"


def _measures(scores: Sequence[PublishedScore], notes: str) -> Iterator[str]:
    first, measures = scores[0], {score.measure for score in scores}
    for remark in published_facts()["remarks"]:
        if _about(first, remark) and measures & set(remark["measures"]):
            yield remark["say"]
    if "ssim" in measures:
        yield "SSIM window not stated"
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


def _about(score: PublishedScore, fact: Mapping[str, Any]) -> bool:
    """Whether a fact is one about the paper, dataset and method of a score."""
    return all(fact.get(name, getattr(score, name)) == getattr(score, name) for name in ("paper", "dataset", "method"))
