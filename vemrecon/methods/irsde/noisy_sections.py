"""`NoisySections`: pairs of laterally degraded sections, each with the noise and the level that it is learned with.

The noise travels with the pair, so that a training does not depend on workers, devices or restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vemrecon.data.patches import LateralSections
from vemrecon.data.source import Source


@dataclass(frozen=True)
class NoisySections(LateralSections):
    """`LateralSections` and `noise`, shaped like the target, and `level`, from 1 to `levels`."""

    levels: int = 100

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A random example."""
        pair = super().draw(source, rng, validation=validation)
        noise = rng.standard_normal(tuple(pair["target"].shape), dtype=np.float32)
        level = torch.tensor(int(rng.integers(1, self.levels + 1)))
        return {**pair, "noise": torch.from_numpy(noise), "level": level}
