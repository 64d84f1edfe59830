"""How long a method is trained: the arguments that say it, and the batches that it comes to."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from vemrecon.methods.base import Method


def lengthened(kind: type[Any], arguments: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Arguments of a longer or shorter training: all that count batches, times the same factor, but at least 1.

    Args:
        kind: Class of the method.
        arguments: Of its constructor; what is not among them has its default.
        factor: More than 0.
    """
    made = dict(arguments)
    for name, value in _counts(kind, arguments):
        made[name] = max(1, round(factor * value))
    for outer, inner in _inner(kind, arguments).items():
        made[outer] = lengthened(inner, arguments.get(outer) or {}, factor)
    return made


def lengths(kind: type[Any], arguments: Mapping[str, Any]) -> dict[str, int]:
    """All arguments that count batches, and their values; dots lead into arguments of arguments."""
    found = dict(_counts(kind, arguments))
    for outer, inner in _inner(kind, arguments).items():
        found |= {f"{outer}.{name}": value for name, value in lengths(inner, arguments.get(outer) or {}).items()}
    return found


def batches_of(method: Method) -> dict[str, int]:
    """Batches of every stage."""
    return {stage.name: stage.epochs * stage.batches_per_epoch for stage in method.stages()}


def _counts(kind: type[Any], arguments: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Arguments that count batches, and their values; a count of 0 stays."""
    known = inspect.signature(kind).parameters
    for name in kind.in_batches:
        if name in known and (value := arguments.get(name, known[name].default)):
            yield name, value


def _inner(kind: type[Any], arguments: Mapping[str, Any]) -> Mapping[str, type[Any]]:
    return {name: inner for name, inner in kind.inner(arguments).items() if issubclass(inner, Method)}
