"""Which metrics a dataset can be scored by, and why not by the others: what its card alone tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vemrecon.data import DatasetCard, Split
from vemrecon.judges.labelled import NO_LABELS, NO_LABELS_HERE
from vemrecon.metrics.catalogue import metrics
from vemrecon.metrics.score import Need
from vemrecon.metrics.spec import LATERAL, NATIVE, MetricSpec

NATIVE_SPLIT = "axial"
"""Split of native tasks, where a dataset has one and the user names none."""


@dataclass(frozen=True)
class Scorable:
    """What the splits of one kind of task can be scored by."""

    kind: str
    splits: tuple[str, ...]
    """Those that are scored where nobody names one."""
    given: tuple[str, ...]
    """Metrics that can be asked for; what a method or a machine lacks leaves their cells blank."""
    lacking: Mapping[str, str]
    """Metrics that cannot be given, with the reason."""


def usual_split(card: DatasetCard, kind: str) -> str | None:
    """The split of a kind of task where nobody names one; None for the default of the card."""
    return NATIVE_SPLIT if kind == NATIVE and NATIVE_SPLIT in card.splits else None


def scorable(card: DatasetCard, kind: str) -> Scorable:
    """What a kind of task can be scored by.

    Args:
        card: The dataset.
        kind: One of its tasks.
    """
    splits = card.members(usual_split(card, kind))
    known = [spec for spec in metrics().usable().values() if kind in spec.kinds and not spec.stands_for]
    reasons = {spec.name: next(_obstacles(card, kind, splits, spec), "") for spec in known}
    given = tuple(name for name, reason in reasons.items() if not reason)
    lacking = {name: reason for name, reason in reasons.items() if reason}
    return Scorable(kind, tuple(split.name for split in splits), given, lacking)


def _obstacles(card: DatasetCard, kind: str, splits: Sequence[Split], spec: MetricSpec) -> Iterator[str]:
    if Need.LABELS in spec.needs:
        if not card.segmentation:
            yield NO_LABELS
        elif not any(split.file in target.score for split in splits for target in card.segmentation.values()):
            yield NO_LABELS_HERE
    sides = [side for split in splits if (side := _longest_side(card, kind, split))]
    if sides and max(sides) < spec.shortest:
        yield f"sections have sides of {max(sides)} voxels, and it needs {spec.shortest}"


def _longest_side(card: DatasetCard, kind: str, split: Split) -> int:
    """The shorter side of the largest sections that are scored; 0 where it is not known."""
    shape = split.region.shape if split.region else card.files[split.file].shape
    if shape is None:
        return 0
    z, y, x = shape
    planes = [(y, x)] if kind in (LATERAL, NATIVE) else [(y, x), (z, x), (z, y)]
    return max(min(plane) for plane in planes)
