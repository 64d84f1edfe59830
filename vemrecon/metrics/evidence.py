"""`Evidence`: what a reconstruction is judged by. Metrics ask it for what they declared as their needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.metrics.rows import LeftOut, Scope
from vemrecon.metrics.score import Need, Score
from vemrecon.metrics.spectrum import EDGE_LIMIT
from vemrecon.metrics.tiles import Readable
from vemrecon.metrics.whole_sections import ALL_PLANES
from vemrecon.progress import Progress, silent
from vemrecon.volume import SectionGrid, Volume
from vemrecon.volume.planes import AXES
from vemrecon.volume.region import Region, triple
from vemrecon.volume.voxels import VoxelSize

IN_MEMORY_BYTES = 2 << 30
"""Most of an observed volume that is held at once."""


class Judge(Protocol):
    """Finds things in volumes of a task: a segmenter, or a tracker of objects."""

    def scores(self, reconstruction: Any) -> Sequence[Score]:
        """What it finds, against labels and against what it finds in the truth."""

    def kept(self) -> Mapping[str, Any]:
        """What the report shows beside the scores, by the name of what is looked for; JSON-able."""


@dataclass(frozen=True)
class FilledSections:
    """Sections that were removed and filled, shape (sections, y, x) each, float32 in [0, 1]."""

    removed: NDArray[np.float32]
    filled: NDArray[np.float32]
    neighbours: NDArray[np.float32]
    """Mean of the nearest sections that were left, for comparison."""


class Remaker(Protocol):
    """The method of a run, ready to do more."""

    def reconstructed(self, observed: Volume) -> AbstractContextManager[Volume]:
        """What it makes of another volume; kept on disk while the context lasts."""

    def filled(self, observed: Volume, sections: Sequence[int]) -> FilledSections | None:
        """Sections removed from another volume, and filled; None if it fills none."""


@dataclass
class Evidence:
    """A reconstruction, and what is known beside it. Volumes are read piece by piece."""

    reconstruction: Readable
    ranges: Mapping[str, Region]
    """Scored regions by name (`all`, `span`), in voxels of the reconstruction."""
    truth: Readable | None = None
    """In the coordinates of the reconstruction; None in native tasks."""
    kind: str = "reference"
    axis: int = 0
    """The degraded axis: 0, 1 or 2 for z, y or x."""
    grid: SectionGrid | None = None
    """Where the observed sections lie."""
    blocks: Mapping[str, Region] = field(default_factory=dict)
    """Evaluation blocks; the metrics of whole sections have none."""
    kept_sections: Collection[int] = ()
    """Positions along `axis` of sections that were copied from the input."""
    defects: Collection[int] = ()
    """Damaged sections (z)."""
    planes: Collection[str] = ALL_PLANES
    """What the metrics that see whole sections are computed for."""
    spread: Readable | None = None
    """Standard deviation over rotations or samples, in [0, 1]."""
    observed: Volume | None = None
    """The anisotropic volume."""
    judges: Callable[[str], Sequence[Judge | Score]] | None = None
    """By the name of a metric: who finds the labelled things, or a score that says why nobody can."""
    method: Remaker | None = None
    filled: FilledSections | None = None
    """Of a task that has removed sections from the observed volume."""
    edge_limit: int = EDGE_LIMIT
    """Longest edge of a block that is Fourier-transformed at once."""
    tell: Progress = silent

    curves: dict[str, Any] = field(default_factory=dict)
    """What explains the scores, JSON-able; metrics leave it here, the report draws it."""
    shown: dict[str, Any] = field(default_factory=dict)
    """By metric: what `MetricSpec.tiles` made, after it was shown all tiles."""
    spectra: dict[str, dict[Region, Any]] = field(default_factory=dict)
    """By metric and region: what `MetricSpec.spectra` made, after it was shown all blocks."""
    work: float = 0
    done: float = 0

    def __post_init__(self) -> None:
        shape = triple(self.reconstruction.shape)
        if self.truth is not None and triple(self.truth.shape) != shape:
            raise DataError(
                f"the reconstruction has shape {shape} and the truth {triple(self.truth.shape)} (z, y, x); "
                f"they must cover the same voxels"
            )
        if not self.ranges:
            raise DataError("no range to score; give at least {'all': Region.whole(truth.shape)}")
        for kind, regions in (("range", self.ranges), ("block", self.blocks)):
            for name, region in regions.items():
                if not Region.whole(shape).contains(region):
                    raise DataError(
                        f"{kind} '{name}' is {region}, which reaches out of the volume {Region.whole(shape)}"
                    )

    @property
    def along(self) -> str:
        """Name of the degraded axis."""
        return AXES[self.axis]

    @property
    def pair(self) -> tuple[Readable, Readable]:
        """Truth and reconstruction."""
        if self.truth is None:
            raise DataError("there is no truth to compare with")
        return self.truth, self.reconstruction

    @property
    def voxel_size(self) -> VoxelSize:
        """Of the truth; the reconstruction covers the same voxels.

        Raises:
            DataError: If it is not known.
        """
        found = self.pair[0].voxel_size
        if found is None:
            raise DataError("the truth has no voxel size, but resolution is in nanometres; give a voxel size")
        return found

    @cached_property
    def scopes(self) -> list[Scope]:
        """Scored regions with the names that their scores carry: ranges first, then their parts in every block."""
        found = [Scope(name, "all", region) for name, region in self.ranges.items()]
        for block, inside in self.blocks.items():
            for name, region in self.ranges.items():
                common = inside.intersection(region)
                if common is not None:
                    found.append(Scope(name, block, common))
        return found

    @cached_property
    def regions(self) -> list[Region]:
        """Scored regions; equal ones are computed once."""
        return list(dict.fromkeys(scope.region for scope in self.scopes))

    @cached_property
    def whole_regions(self) -> list[Region]:
        """Scored regions without the blocks."""
        return list(dict.fromkeys(self.ranges.values()))

    @property
    def left_out(self) -> LeftOut:
        """Sections that do not enter the mean of their own plane."""
        return LeftOut(self.axis, frozenset(self.kept_sections), frozenset(self.defects))

    def lacks(self, needs: Collection[Need]) -> Need | None:
        """The first need that is not met by what is here."""
        here = {
            Need.TRUTH: self.truth is not None,
            Need.LABELS: self.judges is not None,
            Need.SPREAD: self.spread is not None,
            Need.METHOD: self.method is not None and self.observed is not None,
            Need.WEIGHTS: True,  # the metric itself knows, see `MetricSpec.obstacle`
        }
        return next((need for need in Need if need in needs and not here[need]), None)

    def spend(self, work: float) -> None:
        """Say that some of the planned work is done."""
        self.done += work
        self.tell("score", min(self.done / self.work, 1.0) if self.work else 1.0)

    def of_regions(self, values: Mapping[Region, Any]) -> Iterator[tuple[Scope, Any]]:
        """Scopes with the values of their regions, where there are any."""
        for scope in self.scopes:
            if scope.region in values:
                yield scope, values[scope.region]


def recorded_in_memory(evidence: Evidence) -> NDArray[np.float32] | str:
    """The observed voxels, or why they cannot be held: a reconstruction is not lost because a score cannot be had."""
    assert evidence.observed is not None
    size = evidence.observed.whole.voxels * 4
    if size > IN_MEMORY_BYTES:
        return f"needs the observed volume in memory: {size / 2**30:.1f} GiB, at most {IN_MEMORY_BYTES / 2**30:.0f}"
    return evidence.observed.read(evidence.observed.whole)
