"""`RunResult`: what a run leaves behind, as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from vemrecon.bench.spec import RunSpec
from vemrecon.errors import DataError
from vemrecon.files import finite, from_plain, read_json, write_json
from vemrecon.methods.card import MethodCard
from vemrecon.metrics.score import Score
from vemrecon.volume import SectionGrid
from vemrecon.volume.grey_range import GreyRange

SCHEMA = 2
"""Older files are upgraded when they are read; `schema1.py` says how."""


class Status(StrEnum):
    """How a run ended; anything but done has a reason."""

    DONE = "done"
    DECLINED = "declined"
    """The task is out of the scope of the method."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Costs:
    """What a run took; None where that was not recorded."""

    train_seconds: float | None = None
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
class RunResult:
    """Outcome of one run."""

    run_id: str
    spec: RunSpec
    status: Status
    reason: str = ""
    card: MethodCard | None = None
    """Of the method; None if the run failed before it was known."""
    scores: tuple[Score, ...] = ()
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "schema": SCHEMA,
            "spec": self.spec.as_dict(),
            "card": asdict(self.card) if self.card else None,
            "scores": [score.as_dict() for score in self.scores],
            "grid": self.grid.as_dict() if self.grid else None,
            "intensity_range": asdict(self.intensity_range) if self.intensity_range else None,
            "costs": asdict(self.costs),
        }

    @classmethod
    def from_dict(cls, data: Any) -> RunResult:
        """The result of plain values, of this schema or an older one.

        Raises:
            DataError: If they are not those of a result, or were written by a newer version.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("schema"), int):
            raise DataError("not a vemrecon result")
        if data["schema"] > SCHEMA:
            raise DataError(f"written by a newer vemrecon (schema {data['schema']}); upgrade to read it")
        try:
            if data["schema"] < SCHEMA:
                from vemrecon.bench.schema1 import upgraded

                data = upgraded(data)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DataError(f"not a result of schema 1 ({error!r})") from error
        result = from_plain(cls, data)
        result.spec.check()
        return result

    def write(self, path: Path) -> None:
        """Write the result atomically."""
        write_json(path, self.as_dict())

    @classmethod
    def read(cls, path: Path) -> RunResult:
        """Read a result file.

        Raises:
            DataError: If the file is no result, or was written by a newer version.
        """
        try:
            return cls.from_dict(read_json(path))
        except DataError as error:
            raise DataError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
