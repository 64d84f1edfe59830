"""`ReferenceJudge`: looks at every reconstruction of a task in the same way, between a ceiling and a floor.

The true volume and the reconstruction of `FLOOR` are looked at once for all runs of a task: the ceiling and the floor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vemrecon.files import atomic_write, digest_of, make_folder, slug
from vemrecon.judges.labelled import SegmentationAt
from vemrecon.kept import intact_or_aside, read_mark, remember, write_mark
from vemrecon.locks import exclusive
from vemrecon.metrics.score import Need, Reference, Score
from vemrecon.progress import Progress
from vemrecon.volume import Region, SectionGrid, Volume

FLOOR = "bicubic"
"""The training-free method that every other one should beat."""
OUTSIDE = "no voxel that is labelled to be scored by lies in what is reconstructed"
PATIENCE = 24 * 3600
"""Seconds to wait for another run that makes the same references."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class JudgedTask:
    """What the judges of a task share."""

    truth: Volume
    """Cut to what is reconstructed."""
    start: tuple[int, int, int]
    """Its first voxel in the voxels of its file, in which labels are placed."""
    axis: int
    """The degraded axis."""
    grid: SectionGrid
    """Where the observed sections lie."""
    identity: str
    """Of the observed volume, which all runs of the task share."""
    cache: Path
    """Folder where references are kept for other runs."""
    floor: Callable[[Path], Volume]
    """Makes the reconstruction of `FLOOR` at a path."""
    tell: Progress
    defects: tuple[int, ...] = ()
    """Damaged sections (z)."""
    device: str = "cpu"
    pictures: Path | None = None
    """Folder for sections of what was found, if any are wanted."""
    segmenters: Path = field(default_factory=lambda: Path("segmenters"))
    """Folder of trained segmenters."""

    def region(self, at: SegmentationAt) -> Region | None:
        """What is looked at, in voxels of the reconstruction; None if nothing that is labelled is reconstructed."""
        assert at.scored is not None
        return at.scored.region.relative_to(self.start).intersection(self.truth.whole)

    def labels(self, at: SegmentationAt, region: Region) -> NDArray[np.int64]:
        """Labels of a region that is in voxels of the reconstruction."""
        assert at.scored is not None
        return at.scored.labels.read(region.shifted(self.start))

    def kept_sections(self, region: Region) -> NDArray[np.intp]:
        """Sections (z) of a region that are not damaged, counted from its first."""
        return np.array([z for z in range(region.shape[0]) if z + region.start[0] not in self.defects], dtype=np.intp)


class ReferenceJudge(ABC, Generic[Found]):
    """Base of what finds things in volumes of one task; compares with labels, and with what it finds in the truth."""

    metric: ClassVar[str]
    """Name of the metric that it serves."""
    protocol: ClassVar[int]
    """Of what is looked for and how it is compared; references of another one are not used."""
    name: str
    """Of what is looked for."""

    def __init__(self, task: JudgedTask, at: SegmentationAt, region: Region) -> None:
        self.task, self.at, self.region = task, at, region
        self.sections = task.kept_sections(region)

    @abstractmethod
    def found_in(self, volume: Volume) -> Found:
        """What is found in a volume that is in the coordinates of the reconstruction."""

    @abstractmethod
    def compared(self, reference: Reference, true: Found, found: Found) -> Sequence[Score]:
        """Scores of what was found against a reference."""

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What the judge is; JSON-able, kept with the references."""

    @abstractmethod
    def identity(self) -> Any:
        """Everything that decides what it finds, besides the task."""

    @abstractmethod
    def arrays(self, found: Found) -> Mapping[str, NDArray[Any]]:
        """What was found, for a file."""

    @abstractmethod
    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Found:
        """What `arrays` has written."""

    labels: Found
    """What the labels say."""

    def prepare(self) -> None:
        """Find what is in the true volume and in that of the floor, unless another run has done so."""
        whole = [self.protocol, self.identity(), [self.region.start, self.region.stop]]
        name = f"{self.metric}-{slug(self.name)}-{self.task.identity}-{digest_of(whole)[:12]}"
        place = make_folder(self.task.cache / name)
        arrays, scores = place / "truth.npz", place / "references.json"
        with exclusive(place / "lock", f"{place}", patience=PATIENCE):
            if not (intact_or_aside(arrays) and read_mark(scores)):
                self.truth = self.found_in(self.task.truth)
                with atomic_write(arrays, "wb") as file:
                    np.savez_compressed(file, **self.arrays(self.truth))  # type: ignore[arg-type]  # by keyword
                ceiling = self.compared(Reference.LABELS, self.labels, self.truth)
                floor = self._all_scores(self.found_in(self.task.floor(place / f"{FLOOR}.zarr")))
                named = {"truth": [score.as_dict() for score in ceiling], FLOOR: [score.as_dict() for score in floor]}
                where = {"region": [self.region.start, self.region.stop]}
                remember(arrays)
                write_mark(scores, {**self.facts(), **where, "references": named})
        with np.load(arrays) as stored:
            self.truth = self.restored({key: stored[key] for key in stored.files})
        self.references = read_mark(scores)

    def scores(self, reconstruction: Volume) -> Sequence[Score]:
        """Scores against the labels, and against what is found in the true volume (the protocol of the D2R papers)."""
        found = self.found_in(reconstruction)
        self.keep_pictures(reconstruction, found)
        return self._all_scores(found)

    def _all_scores(self, found: Found) -> list[Score]:
        by = {Reference.LABELS: self.labels, Reference.TRUTH: self.truth}
        return [score for name, reference in by.items() for score in self.compared(name, reference, found)]

    def keep_pictures(self, reconstruction: Volume, found: Found) -> None:
        """Keep sections of what was found for the report; nothing by default."""

    def kept(self) -> Mapping[str, Any]:
        """What the report shows beside the scores: the judge, and the scores of ceiling and floor."""
        return {self.name: self.references}


def blank(metric: str, plane: str, target: str, reason: str, missing: Need | None = None) -> Score:
    """A score that says why nobody can judge."""
    return Score(
        metric, "", plane, "all", "all", None, note=reason, target=target, reference=Reference.LABELS, missing=missing
    )
