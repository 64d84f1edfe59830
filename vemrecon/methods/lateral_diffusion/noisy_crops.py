"""`NoisyCrops`: parts of observed sections, each with the noise and the level that it is learned with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vemrecon.data.patches import Patches
from vemrecon.data.source import Source
from vemrecon.data.stack import choose_stack, section_crop


@dataclass(frozen=True)
class NoisyCrops(Patches):
    """`target` (1, crop, crop) of a section that is turned and mirrored, `noise` in the same shape, `step`, `share`."""

    crop: int = 128
    """Extent; less where a section is smaller."""
    steps: int = 1000
    """Of the schedule, see `Schedule.between`."""

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A random example."""
        stacks = source.validation_sections if validation else source.sections
        stack = choose_stack(stacks, rng)
        section, turn = int(rng.integers(stack.shape[0])), int(rng.integers(8))
        extent = min(self.crop, *(n for s in stacks for n in s.shape[1:]))
        target = section_crop(stack, section, turn, (extent, extent), rng)[None]
        return {
            "target": torch.from_numpy(target),
            "noise": torch.from_numpy(rng.standard_normal(target.shape, dtype=np.float32)),
            "step": torch.tensor(int(rng.integers(1, self.steps))),
            "share": torch.tensor(rng.random(), dtype=torch.float32),
        }
