"""Every degradation by its name. A module of this room with a subclass of `Degradation` that has a name is enough."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any

from vemrecon.degradations.degradation import Degradation
from vemrecon.errors import unknown


@cache
def degradations() -> Mapping[str, type[Degradation]]:
    """All degradations, by name."""
    room = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(room).__path__):
        import_module(f"{room}.{module.name}")
    kinds, found = [Degradation], {}
    for kind in kinds:
        kinds += kind.__subclasses__()
        if kind.__module__.startswith(f"{room}.") and "name" in vars(kind):
            found[kind.name] = kind
    return dict(sorted(found.items()))


def settable(kind: type[Degradation]) -> dict[str, Any]:
    """Arguments of a degradation besides the scale, with their defaults."""
    return {one.name: one.default for one in fields(kind) if one.name != "scale"}


def make_degradation(name: str, scale: float, arguments: Mapping[str, Any] | None = None) -> Degradation:
    """Degradation by name.

    Raises:
        ConfigError: If the name or an argument is unknown.
    """
    if name not in degradations():
        raise unknown("degradation", name, degradations())
    kind = degradations()[name]
    for argument in arguments or {}:
        if argument not in settable(kind):
            raise unknown(f"argument of {name}", argument, settable(kind))
    return kind(scale, **(arguments or {}))
