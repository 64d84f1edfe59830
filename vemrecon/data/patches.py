"""Training patches. Patch i is a function of (seed, stage, i) alone: the same after a restart, with any number of
workers, and on one or several devices.

Self-supervised pairs come from the observed sections alone: a lateral axis is degraded as the axial one was, and the
recorded section is the target (IsoVEM, VEMamba: lateral degradation).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vemrecon.data.source import Source
from vemrecon.data.stack import Float32, choose_stack, common_depth, common_side, crop_at_random, section_crop
from vemrecon.degradations import Degradation
from vemrecon.errors import DataError
from vemrecon.seeding import derive, derive_seed


class Patches(ABC):
    """Draws one training example from a source."""

    held_out: ClassVar[str] = "held-out patches"
    """How those of the validation volumes are called on screen, beside their PSNR."""

    @abstractmethod
    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """One example, without a batch axis; from the validation volumes if asked for."""


@dataclass(frozen=True)
class LateralSections(Patches):
    """Pairs from single xy sections: `observed` (1, size / scale, width) and `target` (1, size, width).

    Either lateral axis plays the axial one; the patch is turned and mirrored before it is degraded.
    """

    held_out = "held-out lateral pairs"
    size: int = 64
    """Extent along the axis that is degraded, cut to a multiple of the scale."""
    width: int = 64

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A random pair."""
        stacks = source.validation_sections if validation else source.sections
        stack, side = choose_stack(stacks, rng), common_side(stacks)
        section, turn = int(rng.integers(stack.shape[0])), int(rng.integers(8))
        size = fitting(self.size, side, source.scale), min(self.width, side)
        target = section_crop(stack, section, turn, size, rng)
        degradation = source.degradation.drawn(rng)
        observed = degrade_axis(target[:, None], degradation, derive_seed(int(rng.integers(2**31))))[:, 0]
        return {"observed": torch.from_numpy(observed)[None], "target": torch.from_numpy(target)[None]}


@dataclass(frozen=True)
class LateralPairs(Patches):
    """Pairs from blocks of sections: `observed` (1, z, y / scale, x) and `target` (1, z, y, x), with y degraded.

    Source: IsoVEM and VEMamba; one of the eight rotations that keep the z axis is applied first.
    """

    held_out = "held-out lateral pairs"
    size: tuple[int, int, int] = (16, 128, 128)
    """Of the target (z, y, x) in observed voxels; cut where volumes are smaller, see `common_depth`."""

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A random pair."""
        stacks = source.validation_sections if validation else source.sections
        stack = choose_stack(stacks, rng, self.size[0])
        turn = int(rng.integers(8))
        lateral = fitting(self.size[1], common_side(stacks), source.scale)
        block = crop_at_random(stack, (common_depth(stacks, self.size[0]), lateral, lateral), rng)
        target = np.ascontiguousarray(rotate8(block, turn))
        along_y = np.ascontiguousarray(target.transpose(1, 0, 2))
        degradation = source.degradation.drawn(rng)
        observed = degrade_axis(along_y, degradation, derive_seed(int(rng.integers(2**31)))).transpose(1, 0, 2)
        return {
            "observed": torch.from_numpy(np.ascontiguousarray(observed))[None],
            "target": torch.from_numpy(target)[None],
        }


def rotate8(block: Float32, turn: int) -> Float32:
    """One of the eight proper rotations that keep the z axis: a half turn in (z, x) for turn >= 4, then turn % 4
    quarter turns in (y, x), which exchange y and x if odd.

    Source: IsoVEM code; index 4 f + k.
    """
    block = np.rot90(block, 2, axes=(0, 2)) if turn >= 4 else block
    return np.rot90(block, turn % 4, axes=(1, 2))


def degrade_axis(truth: Float32, degradation: Degradation, seed: int) -> Float32:
    """Degrade axis 0 of an array of shape (n, a, b) whose length is a whole number of slabs."""
    n = truth.shape[0]
    count = round(n / degradation.scale)
    start, stop = degradation.support(0, count, n)
    return np.ascontiguousarray(degradation.apply(truth[start:stop], start, 0, count, n, seed))


def fitting(wanted: int, available: int, scale: float) -> int:
    """The largest whole number of slabs within the wanted and the available extent.

    Raises:
        DataError: If not even two slabs fit.
    """
    slabs = int(min(wanted, available) / scale + 1e-9)
    if slabs < 2 or slabs * scale % 1:
        slabs -= slabs % 2
    if slabs < 2:
        raise DataError(f"sections of {available} voxels are too small to learn from at scale {scale:g}")
    return round(slabs * scale)


class PatchStream(torch.utils.data.Dataset[Mapping[str, Tensor]]):
    """Examples by number, for a data loader."""

    def __init__(self, source: Source, patches: Patches, seed: int, stage: str, length: int) -> None:
        self.source, self.patches, self.seed, self.stage, self.length = source, patches, seed, stage, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        return self.patches.draw(self.source, derive(self.seed, "patches", self.stage, index))
