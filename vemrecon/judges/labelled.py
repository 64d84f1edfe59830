"""Labelled parts of a dataset on this machine: what a segmenter learns from, and where volumes are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.data import LocatedLabels
from vemrecon.data.labels import open_labels
from vemrecon.data.volume_at import VolumeAt
from vemrecon.files import digest_of
from vemrecon.volume import Region

NO_LABELS = "the dataset has no labels to segment by"
NO_LABELS_HERE = "no voxel of this split is labelled to be scored by"


def found_by(segmenter: str, what: str) -> str:
    """Name of a thing that a segmenter of another package looks for, by its class path.

    >>> found_by("package.Network", "membranes")
    'membranes (Network)'
    """
    return f"{what} ({segmenter.rpartition('.')[2]})"


@dataclass(frozen=True)
class LabelsAt:
    """Labels on this machine."""

    path: str
    dataset: str | None
    table: bool
    offset: tuple[int, int, int]
    """Voxel of their volume where they begin."""
    digest: str
    values: tuple[int, ...] = ()
    """Those that mean what is labelled; by default all but 0."""

    @classmethod
    def of(cls, located: LocatedLabels) -> LabelsAt:
        """Located labels."""
        return cls(**{**vars(located), "path": str(located.path)})

    def read(self, region: Region) -> NDArray[np.int64]:
        """Labels of a region, in voxels of the volume.

        Raises:
            DataError: If the file is missing or damaged, or does not reach so far.
        """
        found = open_labels(Path(self.path), self.dataset, table=self.table).read(region.relative_to(self.offset))
        return np.isin(found, self.values).astype(np.int64) if self.values else found


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
    segmenter: str = ""
    """Class path of one that has learned elsewhere; by default one that learns from `training` looks for it."""

    @property
    def name(self) -> str:
        """Of what is found: the thing, and who looks for it where that is not the segmenter of the dataset."""
        return found_by(self.segmenter, self.what) if self.segmenter else self.what

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


def _labelled(data: Mapping[str, Any]) -> LabelledAt:
    facts = data["labels"]
    labels = {**facts, "offset": tuple(facts["offset"]), "values": tuple(facts.get("values", ()))}
    return LabelledAt(VolumeAt(**data["volume"]), LabelsAt(**labels))
