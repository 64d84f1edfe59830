"""How checks say what they have found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from vemrecon.bench.executors.messages import reason_of
from vemrecon.check.verdict import Outcome
from vemrecon.errors import LeakError

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Found:
    """What a check ends with."""

    words: str
    outcome: Outcome = Outcome.PASSED
    facts: Mapping[str, Any] = field(default_factory=dict)


class FailedError(Exception):
    """What is checked does not keep to what it should; the message says what to do.

    Attributes:
        facts: Numbers behind it.
    """

    def __init__(self, words: str, **facts: Any) -> None:
        super().__init__(words)
        self.facts = facts


@dataclass
class Named:
    """What is checked, as it is asked for.

    Attributes:
        name: Its name or class path.
        folder: Everything is written here.
        data_root: Where files of datasets are; empty for the usual place.
    """

    name: str
    folder: Path
    data_root: str = ""


def noted(words: str, **facts: Any) -> Found:
    """Something to know."""
    return Found(words, Outcome.NOTED, facts)


def left_out(words: str) -> Found:
    """Something that cannot be asked."""
    return Found(words, Outcome.LEFT_OUT)


def passed(words: str, **facts: Any) -> Found:
    """Nothing is wrong."""
    return Found(words, Outcome.PASSED, facts)


@dataclass(frozen=True)
class Check(Generic[Thing]):
    """One question.

    Attributes:
        name: In reports.
        ask: Answers it, or raises `FailedError`; other errors are failures with their own words.
        needed: Whether no other question makes sense after a failure.
    """

    name: str
    ask: Callable[[Thing], Found]
    needed: bool = False


def words_of(error: Exception) -> str:
    """An error in a line, with what to do about it where that is known."""
    said = reason_of(error)
    if isinstance(error, LeakError):
        return f"{said}; learn from `source.sections`, or state another regime on the card"
    if "returned shape" in said:
        return f"{said}: round(z * tile.scale) sections of (y, x), with two axes of length 1 before"
    if "does not require grad" in said or "inference" in said.lower():
        return f"{said}; a method that fits tiles sets fits_at_test = True, and reconstruct() then has gradients"
    return said
