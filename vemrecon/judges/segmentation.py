"""Segmentation of a run: what its reconstruction keeps of membranes, mitochondria and neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.files import atomic_write
from vemrecon.judges import segmenters
from vemrecon.judges.labelled import SegmentationAt
from vemrecon.judges.reference import OUTSIDE, JudgedTask, ReferenceJudge, blank
from vemrecon.judges.segmenters import Segmenter, segmenter
from vemrecon.metrics.catalogue.segmentation import masks_file
from vemrecon.metrics.score import Need, Reference, Score
from vemrecon.metrics.segmentation import average_precision, breaks, breaks_per_object, overlap, partition
from vemrecon.segment import instances as watershed
from vemrecon.segment import network
from vemrecon.segment.pretrained import Plugged, SegmenterError
from vemrecon.segment.target import target
from vemrecon.volume import Region, Volume, quantise
from vemrecon.volume.planes import NORMALS

MASK = 0.5
"""Probability from which a voxel belongs to a mask."""
NOTHING = {
    Reference.LABELS: "nothing is labelled where it is scored",
    Reference.TRUTH: "the segmenter finds nothing in the true volume: its training was too short",
}

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Segmented:
    """A segmented volume; labels are one too."""

    mask: Mask
    instances: NDArray[np.integer] | None
    """Of neurons, where membranes were looked for between neuron ids."""
    probability: NDArray[np.floating] | None = None
    """Of the mask; labels have none."""


def segmentation_judges(task: JudgedTask, wanted: Sequence[SegmentationAt]) -> Iterator[SegmentationJudge | Score]:
    """A segmenter for every mask of the dataset, or a score that says why there is none.

    Source: metrics.md, section 5.
    """
    for at in wanted:
        missing = obstacle_of(at)
        reason = at.reason or missing
        region = None if reason else task.region(at)
        if region is None:
            need = Need.WEIGHTS if missing and not at.reason else None
            yield blank("iou", "volume", at.name, reason or OUTSIDE, need)
            continue
        try:
            yield SegmentationJudge(task, at, region)
        except SegmenterError as error:
            yield blank("iou", "volume", at.name, str(error))


def obstacle_of(at: SegmentationAt) -> str:
    """Why nobody can look for something here; empty if somebody can."""
    if at.segmenter:
        return segmenters.obstacle_of(at.segmenter)
    return network.obstacle() or (watershed.obstacle() if at.kind == "neurons" else "")


class SegmentationJudge(ReferenceJudge[Segmented]):
    """Segments volumes of one task."""

    metric = "segmentation"
    protocol = 3

    def __init__(self, task: JudgedTask, at: SegmentationAt, region: Region) -> None:
        super().__init__(task, at, region)
        self.name, self.size = at.name, task.truth.require_voxel_size()
        self.net: Segmenter | Plugged
        if at.segmenter:
            self.net = Plugged(at.segmenter)
        else:
            self.net = segmenter(at, task.segmenters, task.device, self._tell)
        ids = task.labels(at, region)
        self.labels = Segmented(target(ids, at.kind, self.size), ids if at.kind == "neurons" else None)
        self.prepare()

    def _tell(self, share: float) -> None:
        self.task.tell(f"segment {self.name}", share)

    def facts(self) -> dict[str, Any]:
        """The segmenter and how it was trained."""
        return {"segmenter": self.net.facts}

    def identity(self) -> list[str]:
        """Weights and labels."""
        assert self.at.scored is not None
        return [*self.net.identity, self.at.scored.labels.digest]

    def arrays(self, found: Segmented) -> dict[str, NDArray[Any]]:
        """Mask and, of neurons, instances."""
        return {"mask": found.mask} | ({"instances": found.instances} if found.instances is not None else {})

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Segmented:
        """Without the probability, which nothing is compared with."""
        return Segmented(arrays["mask"], arrays.get("instances"))

    def found_in(self, volume: Volume) -> Segmented:
        """Mask, instances and probability in a volume."""
        probability = self.net.probability(volume, self.region, self.task.device, self._tell)
        parts = self.net.instances(probability, self.size) if self.at.kind == "neurons" else None
        return Segmented(probability >= MASK, parts, probability)

    def scores(self, reconstruction: Volume) -> Sequence[Score]:
        """See `ReferenceJudge`; none where a segmenter of another package fails."""
        try:
            return super().scores(reconstruction)
        except SegmenterError as error:
            return [blank("iou", "volume", self.name, str(error))]

    def compared(self, reference: Reference, true: Segmented, found: Segmented) -> list[Score]:
        """Scores of masks, and of neurons where there are any."""

        def score(metric: str, value: float | None, unit: str = "", count: int | None = None, note: str = "") -> Score:
            return Score(
                metric, "", "volume", "all", "all", value, unit, None, count, note, target=self.name,
                reference=reference,
            )  # fmt: skip

        if not true.mask[self.sections].any():  # two empty masks would agree fully
            return [score("iou", None, note=NOTHING[reference])]
        masks = overlap(true.mask[self.sections], found.mask[self.sections])
        rows = [score("iou", masks.iou), score("dice", masks.dice)]
        if found.probability is not None:
            rows.append(score("ap", average_precision(true.mask[self.sections], found.probability[self.sections])))
        if true.instances is not None and found.instances is not None:
            parts = partition(true.instances, found.instances, unlabelled=reference == Reference.LABELS)
            rows += [score("are", parts.are), score("voi", parts.voi, "bit")]
            rows += [score("voi_split", parts.voi_split, "bit"), score("voi_merge", parts.voi_merge, "bit")]
            neurons = self.labels.instances
            assert neurons is not None
            mean, count = breaks_per_object(neurons, ~true.mask, ~found.mask)
            rows.append(score("breaks", mean, "per neuron", count))
        elif self.at.what != "membranes":
            rows.append(score("breaks", breaks(true.mask, found.mask)))
            rows.append(score("overlap_volume", masks.voxels * float(np.prod(tuple(self.size))) * 1e-9, "µm³"))
        return rows

    def keep_pictures(self, reconstruction: Volume, found: Segmented) -> None:
        """Sections of what is scored, with masks and instances, for the report."""
        if self.task.pictures is None:
            return
        middle = self.middle()
        volumes: Mapping[str, NDArray[Any] | None] = {
            "grey": quantise(reconstruction.read(self.region), np.dtype(np.uint8)),
            "truth_grey": quantise(self.task.truth.read(self.region), np.dtype(np.uint8)),
            "found": found.mask,
            "truth": self.truth.mask,
            "labels": self.labels.mask,
            "instances": found.instances,
            "neurons": self.labels.instances,
        }
        arrays = {"voxel_size": np.array(tuple(self.size)), "origin": np.array(self.region.start)}
        arrays["position"] = np.add(self.region.start, middle)
        for plane, axis in NORMALS.items():
            for name, values in volumes.items():
                if values is not None:
                    arrays[f"{name}_{plane}"] = np.take(values, middle[axis], axis=axis)
        with atomic_write(self.task.pictures / masks_file(self.name), "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub forbids arrays by keyword

    def middle(self) -> list[int]:
        """A voxel near the middle of the region; the section across the coarse axis is none that was recorded."""
        middle = [n // 2 for n in self.region.shape]
        axis = self.task.axis
        first, n = self.region.start[axis], self.region.shape[axis]
        middle[axis] = min(max(self.task.grid.between(first + middle[axis]) - first, 0), n - 1)
        return middle
