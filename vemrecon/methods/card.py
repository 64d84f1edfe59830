"""`MethodCard`: the facts about a method that a table must show. Imports no torch, so that listing is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from vemrecon import protocol
from vemrecon.data.regime import REGIMES, Regime
from vemrecon.errors import ConfigError, VemreconError, unknown

USUAL = "bicubic"
"""The method of those who name none: it invents nothing, and takes seconds."""
EXCEPTIONS = {"repeat": "the same output twice", "tiles": "the same output however a volume is cut"}
"""Checks that a method may be excepted from, with what they want."""

MOST_CHANGED = {"psnr": 0.01, "ssim": 0.001}
"""By how much scores of a method may change where its networks compute in bfloat16."""


@dataclass(frozen=True)
class WeightFile:
    """A file of weights that were learned before any training here, from data that no split of ours names.

    Attributes:
        file: Its name: beside the module of the method, or in `weights` of the data root.
        sha256: Of its bytes.
        address: Where `vemrecon fetch` gets it from, if it does not come with the package.
        learned_from: What it was learned from, as its publisher says.
        licence: Likewise.
    """

    file: str
    sha256: str
    address: str = ""
    learned_from: str = ""
    licence: str = ""


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
    weights: tuple[WeightFile, ...] = ()
    """All that a method of the regime `external` brings with it."""
    exceptions: Mapping[str, str] = field(default_factory=dict)
    """Checks of `EXCEPTIONS` that it does not pass, and why that is part of the method."""
    bf16: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """How its psnr (in dB) and ssim change on datasets if networks compute in bfloat16, which else they may not."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The card in a YAML file, or of the facts in it.

        Raises:
            ConfigError: If it is none.
        """
        return cls.of(protocol.load_yaml(path), str(path))

    @classmethod
    def of(cls, facts: Mapping[str, object], where: str) -> Self:
        """The card of plain values, as a file holds them.

        Raises:
            ConfigError: If they are none.
        """
        from vemrecon.files import from_plain

        for name in facts:
            if name not in {one.name for one in fields(cls)}:
                raise unknown(f"fact of the card {where}", str(name), [one.name for one in fields(cls)])
        try:
            return from_plain(cls, facts)
        except VemreconError as error:
            raise ConfigError(f"{where}: no card of a method ({error})") from error

    def __post_init__(self) -> None:
        if self.random is None:
            object.__setattr__(self, "random", self.regime != "none")
        if self.regime not in REGIMES:
            raise ConfigError(f"regime {self.regime!r} of '{self.title}' must be one of {', '.join(REGIMES)}")
        if self.at_test and self.regime != "self":
            raise ConfigError(f"'{self.title}' learns from what it reconstructs, so its regime must be self")
        if self.weights and self.regime != "external":
            raise ConfigError(f"'{self.title}' brings weights, so its regime must be external")
        for name in self.exceptions:
            if name not in EXCEPTIONS:
                raise unknown(f"check that '{self.title}' is excepted from", name, EXCEPTIONS)
        for dataset, change in self.bf16.items():
            if set(change) != set(MOST_CHANGED):
                raise ConfigError(f"bf16 of '{self.title}': {dataset} must say {' and '.join(MOST_CHANGED)}")
            for name, most in MOST_CHANGED.items():
                if not abs(change[name]) <= most:
                    raise ConfigError(f"bf16 of '{self.title}': on {dataset} it changes {name} by {change[name]:g}")
        if len(self.bf16) == 1:
            raise ConfigError(
                f"bf16 of '{self.title}' was measured on {', '.join(self.bf16)} alone; two tissues are needed"
            )
        if self.kernel and (self.regime != "none" or self.random):
            raise ConfigError(f"'{self.title}' is a kernel, so its regime must be none, and nothing of it random")
