"""`MethodCard`: the facts about a method that a table must show. Imports no torch, so that listing is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vemrecon.errors import ConfigError

Regime = Literal["none", "self", "isotropic", "external"]
"""What a method may learn from, in rising order of help: nothing, the anisotropic volumes, isotropic truth of the
training region, other data."""
REGIMES: tuple[str, ...] = get_args(Regime)


@dataclass(frozen=True)
class MethodCard:
    """Title, source and regime of a method; `version` rises whenever its output changes."""

    title: str
    regime: Regime
    paper: str = ""
    citation: str = ""
    licence: str = ""
    version: str = "1"

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise ConfigError(f"regime {self.regime!r} of '{self.title}' must be one of {', '.join(REGIMES)}")
