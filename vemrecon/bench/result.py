"""`RunResult`: what a run leaves behind, as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.files import read_json, write_json

SCHEMA = 1


@dataclass(frozen=True)
class RunResult:
    """Outcome of one run; `status` is done, declined, failed or interrupted, and anything but done has a reason."""

    run_id: str
    spec: Mapping[str, Any]
    status: str
    reason: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[Mapping[str, Any], ...] = ()
    costs: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        """Write the result atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> RunResult:
        """Read a result file.

        Raises:
            DataError: If the file is no result, or was written by a newer version.
        """
        data = read_json(path)
        if not isinstance(data, dict) or "schema" not in data:
            raise DataError(f"{path}: not a vemrecon result")
        if data["schema"] > SCHEMA:
            raise DataError(f"{path}: written by a newer vemrecon (schema {data['schema']}); upgrade to read it")
        try:
            return cls(**{**data, "scores": tuple(data["scores"])})
        except (TypeError, KeyError) as error:
            raise DataError(f"{path}: not a vemrecon result ({error})") from error
