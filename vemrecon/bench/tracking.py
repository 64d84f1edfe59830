"""Tracking scores of a run: labelled objects that SAM 2 follows through the xy sections of its reconstruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.environment import environment
from vemrecon.bench.floor import FLOOR, floor_volume
from vemrecon.bench.job import Job
from vemrecon.bench.labelled import NO_LABELS, SegmentationAt
from vemrecon.bench.scene import Scene
from vemrecon.bench.segmentation import OUTSIDE, kept_sections, scored_labels, scored_region
from vemrecon.bench.store import RunFolder, exclusive
from vemrecon.errors import DataError
from vemrecon.files import atomic_write, digest_of, make_folder, read_json, write_json
from vemrecon.metrics.names import SAM2
from vemrecon.metrics.score import Score
from vemrecon.metrics.tracks import Bits, as_bits, components, followed, mean_iou
from vemrecon.segment.tracker import Tracker, TrackerError, obstacle
from vemrecon.volume import Region, Volume, quantise

METRIC = "sam2_iou"
NEURONS, MEMBRANES = "neurons", "membranes"
NO_OBJECT = "no labelled object is visible in the first section and reaches half of the others"
PROTOCOL = 1
"""Of what is followed and how it is compared; references of another one are not used."""

Progress = Callable[[str, float], None]


class NoObjectError(DataError):
    """Nothing that is labelled can be followed."""


def score_tracks(
    folder: RunFolder, job: Job, scene: Scene, made: Volume, progress: Progress
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of the objects of a dataset, and what stands beside them in curves.json.

    The true volume and that of `FLOOR` are tracked once for all runs of a task: the ceiling and the floor.

    Source: EMGauss, Table 3, which leaves open what was followed and how it was prompted; our choices are item 12 of
    benchmark/README.md.
    """
    at = tracked_thing(job.segmentation)
    name = thing(at)
    reason = at.reason or obstacle()
    region = None if reason else scored_region(at, job, scene)
    if region is None:
        return [_blank(name, reason or OUTSIDE)], {}
    try:
        judge = Judge(folder, job, scene, at, region, progress)
    except (TrackerError, NoObjectError) as error:
        return [_blank(name, str(error))], {}
    return [asdict(row) for row in judge.rows(judge.tracked(made))], {SAM2: {name: judge.beside}}


def _blank(name: str, reason: str) -> dict[str, Any]:
    return asdict(Score(METRIC, f"{name}, labels".lstrip(", "), "xy", "all", "all", None, note=reason))


def tracked_thing(targets: Sequence[SegmentationAt]) -> SegmentationAt:
    """What is tracked: neurons where they are labelled, else the first thing whose parts are objects.

    The parts of a mask of membranes are none.
    """
    usable = [at for at in targets if at.kind == NEURONS] + [
        at for at in targets if at.kind not in (NEURONS, MEMBRANES)
    ]
    ready = [at for at in usable if not at.reason]
    return next(iter((*ready, *usable)), SegmentationAt("", "", "", reason=NO_LABELS))


def thing(at: SegmentationAt) -> str:
    """Name of what is tracked: the card names neurons by the membranes between them."""
    return NEURONS if at.kind == NEURONS else at.what


class Judge:
    """Follows the same objects through volumes of one task, and compares the tracks with labels and with each other.

    Raises:
        TrackerError: If SAM 2 cannot be used.
        NoObjectError: If no object can be followed.
    """

    def __init__(
        self, folder: RunFolder, job: Job, scene: Scene, at: SegmentationAt, region: Region, progress: Progress
    ) -> None:
        assert at.scored is not None and scene.truth is not None
        self.name, self.region, self.scene = thing(at), region, scene
        self.progress = lambda share: progress(f"track {self.name}", share)
        self.sections = kept_sections(region, job.defects)  # a damaged section would end every track
        ids = scored_labels(at, job, region)
        objects = (ids if at.kind == NEURONS else components(ids))[self.sections]
        self.objects = followed(objects) if len(objects) > 1 else []
        if not self.objects:
            raise NoObjectError(NO_OBJECT)
        self.labels = as_bits(objects, self.objects)
        self.tracker = Tracker(job.device)
        self.facts = self.tracker.facts | {"protocol": PROTOCOL}
        whole = [at.scored.labels.digest, [region.start, region.stop], self.sections.tolist(), self.objects]
        key = digest_of([self.facts, whole])
        self.place = make_folder(folder.path.parent / f"tracks-{self.name}-{folder.spec.task_id}-{key[:12]}")
        self.truth, self.beside = self._references(job.device)

    def tracked(self, volume: Volume) -> Bits:
        """The objects as they are followed through a volume in the coordinates of the reconstruction."""
        grey: NDArray[np.uint8] = quantise(volume.read(self.region), np.dtype(np.uint8))[self.sections]
        first = self.labels[0]
        prompts = np.stack([(first >> number) & 1 == 1 for number in range(len(self.objects))])
        return self.tracker.track(grey, prompts, self.progress)

    def rows(self, found: Bits) -> list[Score]:
        """Scores against the labels, and against the tracks in the true volume."""
        return [self._compared("labels", self.labels, found), self._compared("truth", self.truth, found)]

    def _references(self, device: str) -> tuple[Bits, dict[str, Any]]:
        """Tracks in the true volume, with the scores of ceiling and floor; made once for all runs of a task."""
        arrays, scores = self.place / "truth.npz", self.place / "references.json"
        assert self.scene.truth is not None
        with exclusive(self.place / "lock", f"{self.place}", patience=24 * 3600):
            if not scores.exists():
                self.truth = self.tracked(self.scene.truth)
                with atomic_write(arrays, "wb") as file:
                    np.savez_compressed(file, tracks=self.truth)
                ceiling = self._compared("labels", self.labels, self.truth)
                floor = self.rows(self.tracked(floor_volume(self.scene, self.place / f"{FLOOR}.zarr")))
                facts = {
                    "tracker": self.facts | {"environment": environment() | {"device": device}},
                    "region": [self.region.start, self.region.stop],
                    "sections": len(self.sections),
                    "objects": self.objects,
                }
                named = {"truth": [asdict(ceiling)], FLOOR: [asdict(row) for row in floor]}
                write_json(scores, facts | {"references": named})
        with np.load(arrays) as stored:
            return stored["tracks"], read_json(scores)

    def _compared(self, reference: str, true: Bits, found: Bits) -> Score:
        number = len(self.objects)
        value = mean_iou(true, found, number)
        return Score(METRIC, f"{self.name}, {reference}", "xy", "all", "all", value, count=number)
