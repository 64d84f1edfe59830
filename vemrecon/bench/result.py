"""`RunResult`: what a run leaves behind, as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from vemrecon.bench.migration import SCHEMA, NewerError, migrated
from vemrecon.bench.spec import RunSpec
from vemrecon.errors import DataError
from vemrecon.files import finite, from_plain, read_json
from vemrecon.kept import intact, write_mark
from vemrecon.methods.card import MethodCard
from vemrecon.methods.weight_choice import ChosenWeights
from vemrecon.metrics.catalogue import versions_of
from vemrecon.metrics.score import Score
from vemrecon.volume import SectionGrid
from vemrecon.volume.grey_range import GreyRange


class Status(StrEnum):
    """How a run ended; anything but done has a reason."""

    DONE = "done"
    DECLINED = "declined"
    """The task is out of the scope of the method."""
    FAILED = "failed"
    TIMED_OUT = "timed out"
    """It took longer than it was allowed to."""
    OUT_OF_MEMORY = "out of memory"
    """It took more memory than there was, or than it was allowed to."""
    INTERRUPTED = "interrupted"
    """It was stopped from outside; it goes on when it is asked for again."""


@dataclass(frozen=True)
class Costs:
    """What a run took; None where that was not recorded."""

    train_seconds: float | None = None
    train_device_seconds: float | None = None
    """The same, times the devices that shared the training; a track gives every method as many of them."""
    reconstruct_seconds: float | None = None
    score_seconds: float | None = None
    peak_memory_bytes: float | None = None
    parameters: float | None = None
    """Learnable numbers of the method."""
    output_voxels: float | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, finite(getattr(self, f.name)))


@dataclass(frozen=True)
class Deviating:
    """Where a preset differs from what it is named after, at an argument or a step."""

    at: str
    words: str


@dataclass(frozen=True)
class PresetFacts:
    """What the preset of a run says besides its arguments."""

    deviations: tuple[Deviating, ...] = ()
    """From the paper, or from the released code, that the preset is named after."""
    by_task: tuple[str, ...] = ()
    """Arguments that are not the same for all tasks, with dots into those that are mappings."""


@dataclass(frozen=True)
class RunResult:
    """Outcome of one run."""

    run_id: str
    spec: RunSpec
    status: Status
    reason: str = ""
    card: MethodCard | None = None
    """Of the method; None if the run failed before it was known."""
    preset_facts: PresetFacts = field(default_factory=PresetFacts)
    scores: tuple[Score, ...] = ()
    references: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    """What volumes that no method has made score on its task, by name: the same for all of its runs."""
    grid: SectionGrid | None = None
    """Where the observed sections lie."""
    intensity_range: GreyRange | None = None
    """Grey values of the truth (in native tasks of the recorded volume) that mean black and white; None in results
    that were written before it was kept."""
    costs: Costs = field(default_factory=Costs)
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Versions, commit and hardware; `phases` has those of earlier phases that were finished in another one."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """Further files of the run folder, by what they hold."""
    metric_versions: Mapping[str, int] = field(default_factory=dict)
    """Of the metrics that it was scored by; those that are not named had version 1."""
    chosen: Mapping[str, ChosenWeights] = field(default_factory=dict)
    """Which weights its stages have kept, by name of the stage, where the last ones were not wanted anyway."""

    def scored_as(self, spec: RunSpec) -> bool:
        """Whether the scores are those that a specification asks for, and all others are as they are computed now."""
        if not (set(spec.metrics) <= set(self.spec.metrics) and set(spec.segmenters) <= set(self.spec.segmenters)):
            return False
        now = versions_of(self.spec.metrics)
        return all(self.metric_versions.get(name, 1) == version for name, version in now.items())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; without what no stage has chosen."""
        values = {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "schema": SCHEMA,
            "spec": self.spec.as_dict(),
            "card": asdict(self.card) if self.card else None,
            "preset_facts": asdict(self.preset_facts),
            "scores": [score.as_dict() for score in self.scores],
            "references": {name: [s.as_dict() for s in scores] for name, scores in self.references.items()},
            "grid": self.grid.as_dict() if self.grid else None,
            "intensity_range": asdict(self.intensity_range) if self.intensity_range else None,
            "costs": asdict(self.costs),
            "chosen": {stage: asdict(one) for stage, one in self.chosen.items()},
        }
        return values if self.chosen else {name: value for name, value in values.items() if name != "chosen"}

    @classmethod
    def from_dict(cls, data: Any) -> RunResult:
        """The result of plain values, of this schema or an older one.

        Raises:
            NewerError: If they were written by a newer version.
            DataError: If they are not those of a result.
        """
        result = from_plain(cls, migrated(data))
        result.spec.check()
        return result

    def write(self, path: Path) -> None:
        """Write the result atomically, with a checksum."""
        write_mark(path, self.as_dict())

    @classmethod
    def read(cls, path: Path) -> RunResult:
        """Read a result file.

        Raises:
            NewerError: If a newer version has written it.
            DataError: If the file is no result, or damaged.
        """
        data = read_json(path)
        try:
            found = cls.from_dict(data)
            if intact(data) is False:
                raise DataError("damaged, or changed by hand: its checksum is of other facts")
            return found
        except NewerError as error:
            raise NewerError(f"{path}: {error}") from error
        except DataError as error:
            if intact(data) and data.get("schema") == SCHEMA:  # nobody has damaged it: a later version knows more
                raise NewerError(
                    f"{path}: written by a vemrecon that knows more ({error}); upgrade to read it"
                ) from error
            raise DataError(f"{path}: {error}") from error
