"""Tracking in a run: labelled objects that SAM 2 follows through the xy sections of its reconstruction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.environment import environment
from vemrecon.errors import DataError
from vemrecon.judges.labelled import NO_LABELS, SegmentationAt
from vemrecon.judges.reference import OUTSIDE, JudgedTask, ReferenceJudge, blank
from vemrecon.metrics.score import Need, Reference, Score
from vemrecon.metrics.tracks import Bits, as_bits, components, followed, mean_iou
from vemrecon.segment.tracker import Tracker, TrackerError, obstacle
from vemrecon.volume import Region, Volume, quantise

METRIC = "sam2_iou"
NEURONS, MEMBRANES = "neurons", "membranes"
NO_OBJECT = "no labelled object is visible in the first section and reaches half of the others"


class NoObjectError(DataError):
    """Nothing that is labelled can be followed."""


def tracking_judges(task: JudgedTask, wanted: Sequence[SegmentationAt]) -> Iterator[TrackingJudge | Score]:
    """A tracker of the objects of a dataset, or a score that says why there is none.

    Source: EMGauss, Table 3, which leaves open what was followed and how it was prompted; our choices are item 12 of
    benchmark/README.md.
    """
    at = tracked_thing(wanted)
    missing = obstacle()
    reason = at.reason or missing
    region = None if reason else task.region(at)
    if region is None:
        need = Need.WEIGHTS if missing and not at.reason else None
        yield blank(METRIC, "xy", thing(at), reason or OUTSIDE, need)
        return
    try:
        yield TrackingJudge(task, at, region)
    except TrackerError as error:
        yield blank(METRIC, "xy", thing(at), str(error), Need.WEIGHTS)
    except NoObjectError as error:
        yield blank(METRIC, "xy", thing(at), str(error))


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


class TrackingJudge(ReferenceJudge[Bits]):
    """Follows the same objects through volumes of one task.

    Raises:
        TrackerError: If SAM 2 cannot be used.
        NoObjectError: If no object can be followed.
    """

    metric = "sam2"
    protocol = 1

    def __init__(self, task: JudgedTask, at: SegmentationAt, region: Region) -> None:
        super().__init__(task, at, region)  # a damaged section would end every track, so it is none of `sections`
        self.name = thing(at)
        ids = task.labels(at, region)
        objects = (ids if at.kind == NEURONS else components(ids))[self.sections]
        self.objects = followed(objects) if len(objects) > 1 else []
        if not self.objects:
            raise NoObjectError(NO_OBJECT)
        self.labels = as_bits(objects, self.objects)
        self.tracker = Tracker(task.device)
        self.prepare()

    def facts(self) -> dict[str, Any]:
        """The tracker, and what it follows."""
        return {
            "tracker": self.tracker.facts | {"environment": environment() | {"device": self.task.device}},
            "sections": len(self.sections),
            "objects": self.objects,
        }

    def identity(self) -> list[Any]:
        """The tracker, the labels, and which objects are followed through which sections."""
        assert self.at.scored is not None
        return [self.tracker.facts, self.at.scored.labels.digest, self.sections.tolist(), self.objects]

    def arrays(self, found: Bits) -> dict[str, NDArray[Any]]:
        """The tracks."""
        return {"tracks": found}

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Bits:
        """The tracks."""
        return arrays["tracks"]

    def found_in(self, volume: Volume) -> Bits:
        """The objects as they are followed through a volume."""
        grey: NDArray[np.uint8] = quantise(volume.read(self.region), np.dtype(np.uint8))[self.sections]
        first = self.labels[0]
        prompts = np.stack([(first >> number) & 1 == 1 for number in range(len(self.objects))])
        return self.tracker.track(grey, prompts, lambda share: self.task.tell(f"track {self.name}", share))

    def compared(self, reference: Reference, true: Bits, found: Bits) -> list[Score]:
        """Mean overlap of the objects."""
        number = len(self.objects)
        value = mean_iou(true, found, number)
        return [Score(METRIC, "", "xy", "all", "all", value, count=number, target=self.name, reference=reference)]
