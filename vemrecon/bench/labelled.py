"""Labelled parts of a dataset: what a run's segmenter learns from, and where its reconstruction is segmented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.volume_at import VolumeAt
from vemrecon.data import DatasetCard, LocatedLabels, Locator, Split
from vemrecon.data.card import Target
from vemrecon.data.labels import open_labels
from vemrecon.errors import DataError
from vemrecon.files import digest_of
from vemrecon.volume import Region

NO_LABELS = "the dataset has no labels to segment by"


@dataclass(frozen=True)
class LabelsAt:
    """Labels on this machine."""

    path: str
    dataset: str | None
    table: bool
    offset: tuple[int, int, int]
    """Voxel of their volume where they begin."""
    digest: str

    @classmethod
    def of(cls, located: LocatedLabels) -> LabelsAt:
        """Located labels."""
        return cls(str(located.path), located.dataset, located.table, located.offset, located.digest)

    def read(self, region: Region) -> NDArray[np.int64]:
        """Labels of a region, in voxels of the volume.

        Raises:
            DataError: If the file is missing or damaged, or does not reach so far.
        """
        return open_labels(Path(self.path), self.dataset, table=self.table).read(region.relative_to(self.offset))


@dataclass(frozen=True)
class LabelledAt:
    """A part of a volume on this machine, with its labels."""

    volume: VolumeAt
    labels: LabelsAt

    @property
    def region(self) -> Region:
        """The part, in voxels of the file."""
        assert self.volume.region is not None
        return Region(*self.volume.region)


@dataclass(frozen=True)
class SegmentationAt:
    """One thing that is segmented: membranes or mitochondria."""

    dataset: str
    what: str
    kind: str
    """Of labels: `neurons` are ids, of which membranes are made; all others are masks."""
    preset: str = ""
    """Asked for, which decides the recipe of the segmenter; the same for training-free methods."""
    training: tuple[LabelledAt, ...] = ()
    scored: LabelledAt | None = None
    reason: str = ""
    """Why it cannot be scored."""

    @property
    def learning_id(self) -> str:
        """Identity of what its segmenter learns from."""
        parts = [[p.volume.digest, p.volume.region, p.labels.digest, p.labels.offset] for p in self.training]
        return digest_of({"what": self.what, "kind": self.kind, "training": parts})[:12]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SegmentationAt:
        """The one of plain values."""
        parts = tuple(_labelled(part) for part in data["training"])
        scored = data["scored"] and _labelled(data["scored"])
        return cls(**{**data, "training": parts, "scored": scored})


def located_segmentations(card: DatasetCard, split: Split, preset: str, locator: Locator) -> tuple[SegmentationAt, ...]:
    """What can be segmented in reconstructions of a split, and why the rest cannot; no missing label stops a run."""
    found = []
    for what, target in card.segmentation.items():
        try:
            found.append(_located(card, split, what, target, preset, locator))
        except DataError as error:
            found.append(SegmentationAt(card.name, what, target.labels, reason=str(error).splitlines()[0]))
    return tuple(found) or (SegmentationAt(card.name, "", "", reason=NO_LABELS),)


def _located(
    card: DatasetCard, split: Split, what: str, target: Target, preset: str, locator: Locator
) -> SegmentationAt:
    def labelled(key: str, region: Region) -> LabelledAt:
        volume = VolumeAt.of(locator.volume(card, key), Split(what, key, region))
        return LabelledAt(volume, LabelsAt.of(locator.labels(card, key, target.labels)))

    inside = target.score.get(split.file)
    region = inside and (inside.intersection(split.region) if split.region else inside)
    if not region:
        reason = "no voxel of this split is labelled to be scored by"
        return SegmentationAt(card.name, what, target.labels, reason=reason)
    training = tuple(labelled(key, part) for key, part in target.train.items())
    return SegmentationAt(card.name, what, target.labels, preset, training, labelled(split.file, region))


def _labelled(data: Mapping[str, Any]) -> LabelledAt:
    labels = {**data["labels"], "offset": tuple(data["labels"]["offset"])}
    return LabelledAt(VolumeAt(**data["volume"]), LabelsAt(**labels))
