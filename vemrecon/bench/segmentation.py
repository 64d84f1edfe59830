"""Segmentation scores of a run: what its reconstruction keeps of membranes, mitochondria and neurons."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.floor import FLOOR, floor_volume
from vemrecon.bench.job import Job
from vemrecon.bench.labelled import SegmentationAt
from vemrecon.bench.scene import Scene
from vemrecon.bench.segmenters import Segmenter, segmenter
from vemrecon.bench.store import RunFolder, exclusive
from vemrecon.files import atomic_write, digest_of, make_folder, read_json, write_json
from vemrecon.metrics.names import SEGMENTATION
from vemrecon.metrics.score import Score
from vemrecon.metrics.segmentation import average_precision, breaks, breaks_per_object, overlap, partition
from vemrecon.segment import instances as watershed
from vemrecon.segment import network
from vemrecon.segment.target import target
from vemrecon.volume import Region, Volume, VoxelSize, quantise

MASK = 0.5
"""Probability from which a voxel belongs to a mask."""
PROTOCOL = 3
"""Of how masks and instances are made and compared; references of another one are not used."""
NOTHING = {
    "labels": "nothing is labelled where it is scored",
    "truth": "the segmenter finds nothing in the true volume: its training was too short",
}
OUTSIDE = "no voxel that is labelled to be scored by lies in what is reconstructed"

Found = NDArray[np.bool_]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Segmented:
    """A segmented volume; labels are one too."""

    mask: Found
    instances: NDArray[np.integer] | None
    """Of neurons, where membranes were looked for between neuron ids."""
    probability: NDArray[np.floating] | None = None
    """Of the mask; labels have none."""


def score_segmentation(
    folder: RunFolder, job: Job, scene: Scene, made: Volume, progress: Progress
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of every mask of the dataset, and what the report shows beside them.

    The true volume and that of `FLOOR` are segmented once for all runs of a task: the ceiling and the floor.

    Source: metrics.md, section 5.
    """
    rows: list[Score] = []
    beside: dict[str, Any] = {}
    for at in job.segmentation:
        reason = at.reason or network.obstacle() or (watershed.obstacle() if at.kind == "neurons" else "")
        region = None if reason else scored_region(at, job, scene)
        if region is None:
            rows.append(
                Score("iou", f"{at.what}, labels".lstrip(", "), "volume", "all", "all", None, note=reason or OUTSIDE)
            )
            continue
        judge = Judge(folder, job, scene, at, region, progress)
        found = judge.segmented(made)
        rows += judge.rows(found)
        beside[at.what] = judge.beside
        judge.keep_pictures(folder.path / f"segmentation-{at.what}.npz", made, found)
    return [asdict(row) for row in rows], {SEGMENTATION: beside} if beside else {}


def scored_region(at: SegmentationAt, job: Job, scene: Scene) -> Region | None:
    """What is segmented, in voxels of the reconstruction; None if nothing of it is reconstructed."""
    assert at.scored is not None and scene.truth is not None
    start = job.truth.region[0] if job.truth.region else (0, 0, 0)
    return at.scored.region.relative_to(start).intersection(Region.whole(scene.truth.shape))


def scored_labels(at: SegmentationAt, job: Job, region: Region) -> NDArray[np.int64]:
    """Labels of a region that is in voxels of the reconstruction."""
    assert at.scored is not None
    return at.scored.labels.read(region.shifted(job.truth.region[0] if job.truth.region else (0, 0, 0)))


class Judge:
    """Segments volumes of one task and compares what is found with labels, and with what is found in the truth."""

    def __init__(
        self, folder: RunFolder, job: Job, scene: Scene, at: SegmentationAt, region: Region, progress: Progress
    ) -> None:
        assert at.scored is not None and scene.truth is not None
        self.at, self.region, self.scene, self.device = at, region, scene, job.device
        self.runs = folder.path.parent.parent
        self.progress = lambda share: progress(f"segment {at.what}", share)
        self.sections = kept_sections(region, job.defects)
        self.size: VoxelSize = scene.truth.require_voxel_size()
        self.net: Segmenter = segmenter(at, self.runs, job.device, self.progress)
        ids = scored_labels(at, job, region)
        self.labels = Segmented(target(ids, at.kind, self.size), ids if at.kind == "neurons" else None)
        key = digest_of(
            [PROTOCOL, self.net.facts["weights_sha256"], at.scored.labels.digest, [region.start, region.stop]]
        )
        self.place = make_folder(folder.path.parent / f"segmentation-{at.what}-{folder.spec.task_id}-{key[:12]}")
        self.truth, self.beside = self._references()

    def segmented(self, volume: Volume) -> Segmented:
        """What is found in a volume in the coordinates of the reconstruction."""
        probability = self.net.probability(volume, self.region, self.device, self.progress)
        parts = watershed.instances(probability, self.size) if self.at.kind == "neurons" else None
        return Segmented(probability >= MASK, parts, probability)

    def rows(self, found: Segmented) -> list[Score]:
        """Scores against the labels, and against what is found in the true volume (the protocol of the D2R papers)."""
        by = {"labels": self.labels, "truth": self.truth}
        return [row for name, reference in by.items() for row in self._compared(name, reference, found)]

    def _references(self) -> tuple[Segmented, dict[str, Any]]:
        """What is found in the true volume, with the scores of ceiling and floor; made once for all runs of a task."""
        arrays, scores = self.place / "truth.npz", self.place / "references.json"
        assert self.scene.truth is not None
        with exclusive(self.place / "lock", f"{self.place}", patience=24 * 3600):
            if not scores.exists():
                self.truth = self.segmented(self.scene.truth)
                with atomic_write(arrays, "wb") as file:
                    known = {"instances": self.truth.instances} if self.truth.instances is not None else {}
                    np.savez_compressed(file, mask=self.truth.mask, **known)  # type: ignore[arg-type]
                ceiling = self._compared("labels", self.labels, self.truth)
                floor = self.rows(self.segmented(floor_volume(self.scene, self.place / f"{FLOOR}.zarr")))
                facts = {"segmenter": self.net.facts, "region": [self.region.start, self.region.stop]}
                named = {"truth": [asdict(row) for row in ceiling], FLOOR: [asdict(row) for row in floor]}
                write_json(scores, facts | {"references": named})
        with np.load(arrays) as stored:
            return Segmented(stored["mask"], stored.get("instances")), read_json(scores)

    def _compared(self, reference: str, true: Segmented, found: Segmented) -> list[Score]:
        def score(metric: str, value: float | None, unit: str = "", count: int | None = None, note: str = "") -> Score:
            return Score(metric, f"{self.at.what}, {reference}", "volume", "all", "all", value, unit, None, count, note)

        if not true.mask[self.sections].any():  # two empty masks would agree fully
            return [score("iou", None, note=NOTHING[reference])]

        masks = overlap(true.mask[self.sections], found.mask[self.sections])
        rows = [score("iou", masks.iou), score("dice", masks.dice)]
        if found.probability is not None:
            rows.append(score("ap", average_precision(true.mask[self.sections], found.probability[self.sections])))
        if true.instances is not None and found.instances is not None:
            parts = partition(true.instances, found.instances, unlabelled=reference == "labels")
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

    def keep_pictures(self, path: Path, made: Volume, found: Segmented) -> None:
        """Sections of what is scored, with masks and instances, for the report."""
        assert self.scene.truth is not None
        truth, middle = self.scene.truth, self.middle()
        volumes: Mapping[str, NDArray[Any] | None] = {
            "grey": quantise(made.read(self.region), np.dtype(np.uint8)),
            "truth_grey": quantise(truth.read(self.region), np.dtype(np.uint8)),
            "found": found.mask,
            "truth": self.truth.mask,
            "labels": self.labels.mask,
            "instances": found.instances,
            "neurons": self.labels.instances,
        }
        arrays = {"voxel_size": np.array(tuple(self.size)), "origin": np.array(self.region.start)}
        arrays["position"] = np.add(self.region.start, middle)
        for axis, plane in enumerate(("xy", "xz", "yz")):
            for name, values in volumes.items():
                if values is not None:
                    arrays[f"{name}_{plane}"] = np.take(values, middle[axis], axis=axis)
        with atomic_write(path, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub forbids arrays by keyword

    def middle(self) -> list[int]:
        """A voxel near the middle of the region; the section across the coarse axis is none that was recorded."""
        middle = [n // 2 for n in self.region.shape]
        axis = self.scene.axis
        first, n = self.region.start[axis], self.region.shape[axis]
        place = self.scene.observed.require_grid().between(first + middle[axis]) - first
        middle[axis] = min(max(place, 0), n - 1)
        return middle


def kept_sections(region: Region, defects: Collection[int]) -> NDArray[np.intp]:
    """Sections (z) of a region that are not damaged, counted from its first."""
    return np.array([z for z in range(region.shape[0]) if z + region.start[0] not in defects], dtype=np.intp)
