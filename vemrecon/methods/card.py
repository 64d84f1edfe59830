"""`MethodCard`: the facts about a method that a table must show. Imports no torch, so that listing is quick."""

from __future__ import annotations

from dataclasses import dataclass

from vemrecon.data.regime import REGIMES, Regime
from vemrecon.errors import ConfigError


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
