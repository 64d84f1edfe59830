"""`MethodCard`: the facts about a method that a table must show. Imports no torch, so that listing is quick."""

from __future__ import annotations

from dataclasses import dataclass

from vemrecon.data.regime import REGIMES, Regime
from vemrecon.errors import ConfigError


@dataclass(frozen=True)
class MethodCard:
    """Title, source and regime of a method; `version` rises whenever its output changes.

    Where `at_test` is set, all learning happens while a volume is reconstructed, from its observed sections alone.
    `random` says whether the output depends on the seed: where it is not set, what learns is random, and what does not
    learn is not. A method that is not random runs once, whatever the seeds.
    `kernel` says that it interpolates along z with weights that depend on nothing but where sections lie: gains of all
    methods are counted from the best kernel of a task. What learns nothing is no kernel for that reason alone.
    """

    title: str
    regime: Regime
    paper: str = ""
    citation: str = ""
    licence: str = ""
    version: str = "1"
    at_test: bool = False
    random: bool | None = None
    kernel: bool = False

    def __post_init__(self) -> None:
        if self.random is None:
            object.__setattr__(self, "random", self.regime != "none")
        if self.regime not in REGIMES:
            raise ConfigError(f"regime {self.regime!r} of '{self.title}' must be one of {', '.join(REGIMES)}")
        if self.at_test and self.regime != "self":
            raise ConfigError(f"'{self.title}' learns from what it reconstructs, so its regime must be self")
        if self.kernel and (self.regime != "none" or self.random):
            raise ConfigError(f"'{self.title}' is a kernel, so its regime must be none, and nothing of it random")
