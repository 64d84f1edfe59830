"""Every degradation by its name. A module of this room with a subclass of `Degradation` that has a name is enough.

Other packages announce theirs under the entry points `vemrecon.degradations`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any

from vemrecon.degradations.degradation import Degradation
from vemrecon.errors import PluginError, unknown
from vemrecon.plugins import Announced, Catalogue, load_class


@cache
def degradations() -> Catalogue[type[Degradation]]:
    """All degradations, those of this project first."""
    room = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(room).__path__):
        import_module(f"{room}.{module.name}")
    kinds, found = [Degradation], {}
    for kind in kinds:
        kinds += kind.__subclasses__()
        if kind.__module__.startswith(f"{room}.") and "name" in vars(kind):
            found[kind.name] = kind
    return Catalogue("degradation", dict(sorted(found.items())), _of_package)


def _of_package(one: Announced) -> type[Degradation]:
    """The degradation of another package.

    Raises:
        PluginError: If it is none, or one of another name.
    """
    where = f"degradation '{one.name}' of the package {one.package}"
    found: type[Degradation] = load_class(where, one.place, Degradation, "vemrecon.degradations.Degradation")
    if getattr(found, "name", "") != one.name:
        raise PluginError(f"{where}: the name of {one.place} must be '{one.name}'")
    return found


def settable(kind: type[Degradation]) -> dict[str, Any]:
    """Arguments of a degradation besides the scale, with their defaults."""
    return {one.name: one.default for one in fields(kind) if one.name != "scale"}


def make_degradation(name: str, scale: float, arguments: Mapping[str, Any] | None = None) -> Degradation:
    """Degradation by name.

    Raises:
        ConfigError: If the name or an argument is unknown.
        PluginError: If another package has it, and it cannot be used.
    """
    if name not in degradations():
        raise unknown("degradation", name, degradations())
    kind = degradations()[name]
    for argument in arguments or {}:
        if argument not in settable(kind):
            raise unknown(f"argument of {name}", argument, settable(kind))
    return kind(scale, **(arguments or {}))
