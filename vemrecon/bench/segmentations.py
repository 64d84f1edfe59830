"""What can be segmented in the reconstructions of a split, as the card of its dataset says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vemrecon.data import DatasetCard, Locator, Split
from vemrecon.data.card import Target
from vemrecon.data.volume_at import VolumeAt
from vemrecon.errors import DataError
from vemrecon.judges.labelled import NO_LABELS, NO_LABELS_HERE, LabelledAt, LabelsAt, SegmentationAt
from vemrecon.judges.segmenters import finds
from vemrecon.volume import Region


def located_segmentations(
    card: DatasetCard, split: Split, preset: str, locator: Locator, segmenters: Sequence[str] = ()
) -> tuple[SegmentationAt, ...]:
    """What can be segmented in reconstructions of a split, and why the rest cannot; no missing label stops a run.

    Args:
        card: Of the dataset.
        split: What is scored.
        preset: Decides the recipe of the segmenters of the dataset.
        locator: Finds volumes and labels.
        segmenters: Class paths of further ones, that have learned elsewhere.

    Raises:
        PluginError: If one of these cannot be loaded.
    """
    found = []
    for what, target in card.segmentation.items():
        try:
            found.append(_located(card, split, what, target, preset, locator))
        except DataError as error:
            found.append(SegmentationAt(card.name, what, target.labels, reason=str(error).splitlines()[0]))
    own = tuple(found) or (SegmentationAt(card.name, "", "", reason=NO_LABELS),)
    return *own, *(part for path in segmenters for part in _by_another(own, path))


def _by_another(own: Sequence[SegmentationAt], class_path: str) -> list[SegmentationAt]:
    what = finds(class_path)
    here = [replace(at, preset="", training=(), segmenter=class_path) for at in own if at.what == what]
    return here or [SegmentationAt(own[0].dataset, what, "", reason=NO_LABELS, segmenter=class_path)]


def _located(
    card: DatasetCard, split: Split, what: str, target: Target, preset: str, locator: Locator
) -> SegmentationAt:
    def labelled(key: str, region: Region) -> LabelledAt:
        volume = VolumeAt.of(locator.volume(card, key), Split(what, key, region))
        return LabelledAt(volume, LabelsAt.of(locator.labels(card, key, target.labels)))

    inside = target.score.get(split.file)
    region = inside and (inside.intersection(split.region) if split.region else inside)
    if not region:
        return SegmentationAt(card.name, what, target.labels, reason=NO_LABELS_HERE)
    training = tuple(labelled(key, part) for key, part in target.train.items())
    return SegmentationAt(card.name, what, target.labels, preset, training, labelled(split.file, region))
