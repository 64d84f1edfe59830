"""Degradations by name, as suites and the command line ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vemrecon.degrade.average import Average
from vemrecon.degrade.degradation import Degradation
from vemrecon.degrade.realistic import Realistic, RealisticReleased
from vemrecon.degrade.subsample import Subsample
from vemrecon.errors import unknown

KINDS: Mapping[str, type[Degradation]] = {
    kind.name: kind for kind in (Average, Subsample, Realistic, RealisticReleased)
}


def make_degradation(name: str, scale: float, arguments: Mapping[str, Any] | None = None) -> Degradation:
    """Degradation by name.

    Raises:
        ConfigError: If the name or an argument is unknown.
    """
    if name not in KINDS:
        raise unknown("degradation", name, KINDS)
    names = {field.name for field in fields(KINDS[name])} - {"scale"}
    for argument in arguments or {}:
        if argument not in names:
            raise unknown(f"argument of {name}", argument, names)
    return KINDS[name](scale, **(arguments or {}))
