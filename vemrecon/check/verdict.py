"""`Verdict`: what one check found. `CheckReport`: all of them, as check.json keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.files import from_plain, read_json
from vemrecon.kept import intact, write_mark
from vemrecon.plugins import Kind, Origin

SCHEMA = 1


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOTED = "noted"
    """Nothing is wrong, but whoever reads a number should know it."""
    LEFT_OUT = "left out"
    """It cannot be asked of this one."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        check: Its name.
        outcome: How it ended.
        words: What was found, and what to do where it failed.
        seconds: That it took.
        facts: Numbers behind it.
    """

    check: str
    outcome: Outcome
    words: str
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckReport:
    """All that was found of one thing.

    Attributes:
        kind: Of the thing.
        name: As it was asked for.
        class_path: Where it stands; for a dataset its card.
        version: Of a method, by its card.
        origin: Where its code comes from; None for what is built in.
        verdicts: In the order of the checks.
        preset: That a method ran with.
        environment: Versions, commit, hardware.
    """

    kind: Kind
    name: str
    class_path: str
    version: str
    origin: Origin | None
    verdicts: tuple[Verdict, ...]
    preset: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(verdict.outcome is Outcome.FAILED for verdict in self.verdicts)

    def write(self, path: Path) -> None:
        """Write check.json, with a checksum."""
        write_mark(path, {"schema": SCHEMA, "passed": self.passed, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> CheckReport:
        """Read check.json.

        Raises:
            DataError: If it is missing, damaged or changed by hand.
        """
        data = read_json(path)
        if not isinstance(data, Mapping) or intact(data) is not True:
            raise DataError(f"{path}: damaged, or changed by hand; `vemrecon check` writes it anew")
        return from_plain(cls, data)
