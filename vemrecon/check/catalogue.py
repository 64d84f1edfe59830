"""Which checks there are for which kind of thing. Imports nothing of them before they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, get_args

from vemrecon.check.findings import Check

CheckedKind = Literal["method", "metric", "degradation", "dataset"]
KINDS: Final[tuple[str, ...]] = get_args(CheckedKind)


def checks_of(kind: str) -> Sequence[Check[Any]]:
    """In their order."""
    found: Sequence[Check[Any]] = import_module(f"vemrecon.check.{kind}_checks").CHECKS
    return found


def subject_of(kind: str, folder: Path, order: Mapping[str, Any]) -> Any:
    """What the checks of a kind are asked of."""
    if kind == "method":
        from vemrecon.check.subject import MethodSubject

        return MethodSubject(order["name"], folder, order["preset"])
    return import_module(f"vemrecon.check.{kind}_checks").Subject(order["name"], folder, order["data_root"])
