"""`Subsample`: observed sections are truth sections, most of which are dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from vemrecon.degradations.degradation import Degradation, Float32
from vemrecon.errors import ConfigError
from vemrecon.volume import SectionGrid


@dataclass(frozen=True)
class Subsample(Degradation):
    """Keeps every `scale`-th section, from section `offset` on. Needs a whole scale.

    Source: EMDiffuse, EMGauss and both D2R papers.
    """

    offset: int = 0

    name: ClassVar[str] = "subsample"
    keeps_truth: ClassVar[bool] = True

    @property
    def grid(self) -> SectionGrid:
        """Where the kept sections were."""
        return SectionGrid.kept_every(self.scale, self.offset)

    @property
    def canonical(self) -> Subsample:
        """Without an offset."""
        return replace(self, offset=0) if self.offset else self

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale.is_integer():
            raise ConfigError(
                f"subsample keeps whole sections, so scale {self.scale:g} must be whole; average takes any"
            )
        if not 0 <= self.offset < self.scale:
            raise ConfigError(f"subsample offset {self.offset} must be at least 0 and below the scale {self.scale:g}")

    def sections(self, n: int) -> int:
        """Sections offset, offset + r, ... that exist: one more than `Average` gives where n is no multiple of r."""
        return max(0, math.ceil((n - self.offset) / self.scale))

    def apply(self, truth: Float32, start: int, first: int, last: int, n: int, seed: int) -> Float32:
        """The kept sections, unchanged."""
        r = int(self.scale)
        begin = self.offset + first * r - start
        return np.ascontiguousarray(truth[begin : begin + (last - first - 1) * r + 1 : r])
