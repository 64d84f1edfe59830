"""`RunResult`: what a run leaves behind, as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from vemrecon.bench.spec import RunSpec
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import finite, read_json, write_json
from vemrecon.methods.card import MethodCard
from vemrecon.metrics.score import Score
from vemrecon.volume import SectionGrid

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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Costs:
        """Costs of plain values; what is no finite number counts as not recorded."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: finite(value) for name, value in data.items() if name in names})


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
            known = {f.name: data[f.name] for f in fields(cls)}
            result = cls(**{
                **known,
                "spec": RunSpec.from_dict(data["spec"]),
                "status": Status(data["status"]),
                "card": MethodCard(**data["card"]) if data["card"] else None,
                "scores": tuple(Score.from_dict(score) for score in data["scores"]),
                "grid": SectionGrid.from_dict(data["grid"]) if data["grid"] else None,
                "costs": Costs.from_dict(data["costs"]),
            })  # fmt: skip
            if not isinstance(result.run_id, str) or not isinstance(result.reason, str):
                raise TypeError("run_id and reason are texts")
            if not isinstance(result.environment, Mapping) or not isinstance(result.artifacts, Mapping):
                raise TypeError("environment and artifacts are mappings")
        except (TypeError, KeyError, ValueError, AttributeError, ConfigError) as error:
            raise DataError(f"not a vemrecon result ({error})") from error
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
