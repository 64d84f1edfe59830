"""`MethodCard`: the facts about a method that a table must show. Imports no torch, so that listing is quick."""

from __future__ import annotations

from dataclasses import dataclass

from vemrecon.data.regime import REGIMES, Regime
from vemrecon.errors import ConfigError


@dataclass(frozen=True)
class MethodCard:
    """Title, source and regime of a method; `version` rises whenever its output changes.

    Where `at_test` is set, all learning happens while a volume is reconstructed, from its observed sections alone.
    """

    title: str
    regime: Regime
    paper: str = ""
    citation: str = ""
    licence: str = ""
    version: str = "1"
    at_test: bool = False

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise ConfigError(f"regime {self.regime!r} of '{self.title}' must be one of {', '.join(REGIMES)}")
        if self.at_test and self.regime != "self":
            raise ConfigError(f"'{self.title}' learns from what it reconstructs, so its regime must be self")
