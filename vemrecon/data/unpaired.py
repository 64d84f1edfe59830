"""Unpaired sections for translators between two kinds of sections: lateral ones, and axial ones of other places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vemrecon.data.patches import LateralSections, Patches, fitting
from vemrecon.data.source import Source
from vemrecon.data.stack import Float32, choose_stack, common_depth, section_crop
from vemrecon.errors import DataError
from vemrecon.volume import SectionGrid


@dataclass(frozen=True)
class UnpairedSections(Patches):
    """`lateral` (1, rows * scale, width), an xy section as it is, and `axial` (1, rows, width), any xz or yz section.

    Rows of both run along the axial axis or what plays its part; nothing is interpolated. Kept sections
    tell nothing behind the last one, so lateral sections end there: (rows - 1) * scale + 1.

    Where z is not the axis to be reconstructed (lateral tasks), `axial` is another lateral section, degraded as a test
    section is. Validation draws such a pair of one section instead: `observed` and `target`.

    Source: CycleGAN-IR, whole sections of 500 x 500 and 50 x 500 without augmentation.
    """

    held_out = "held-out lateral pairs"
    size: int = 500
    """Rows of a lateral section, cut to what volumes have and to whole slabs."""
    width: int = 500
    grid: SectionGrid | None = None
    """Where the method takes axial sections to lie; None for where they do."""
    orientations: bool = False
    """Whether lateral sections are turned and mirrored, and axial ones mirrored."""

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A lateral and an axial section drawn independently of each other."""
        rows, width = self.extent(source)
        size = round(rows * source.scale)
        if validation:
            return LateralSections(size, width).draw(source, rng, validation=True)
        stack = choose_stack(source.sections, rng)
        section = int(rng.integers(stack.shape[0]))
        turn = int(rng.integers(8)) if self.orientations else 0
        lateral = section_crop(stack, section, turn, (self.grid_of(source).covered(rows), width), rng)
        if source.axial:
            axial = torch.from_numpy(self._axial(source, (rows, width), rng))[None]
        else:
            axial = LateralSections(size, width).draw(source, rng)["observed"]
        return {"lateral": torch.from_numpy(lateral)[None], "axial": axial}

    def grid_of(self, source: Source) -> SectionGrid:
        """Where axial sections are taken to lie."""
        return self.grid or source.degradation.grid

    def extent(self, source: Source) -> tuple[int, int]:
        """Rows and columns of axial sections, the same for all volumes, so that they make batches.

        Raises:
            DataError: If the volumes have too few sections or voxels.
        """
        lateral = min(n for volume in source.observed for n in volume.shape[1:])
        rows = round(fitting(self.size, lateral, source.scale) / source.scale)
        if source.axial:
            rows = common_depth(source.observed, rows)
        if rows < 2:
            raise DataError(f"{source.observed[0].name}: a single section has no axial sections to learn from")
        return rows, min(self.width, lateral)

    def _axial(self, source: Source, size: tuple[int, int], rng: np.random.Generator) -> Float32:
        stack = choose_stack(source.sections, rng, size[0])
        place, count = int(rng.integers(stack.shape[1] + stack.shape[2])), stack.shape[1]  # of all xz and yz sections
        across, place = ((1, 0, 2), place) if place < count else ((2, 0, 1), place - count)
        turns = 2 if self.grid_of(source).thin else 4  # upside down, kept sections would lie at the wrong end of slabs
        turn = int(rng.integers(turns)) if self.orientations else 0
        return section_crop(stack.transpose(across), place, turn, size, rng)
