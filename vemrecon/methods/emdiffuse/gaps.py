"""`Gaps`: two neighbouring observed sections and a true one between them, with the noise that it is learned with.

vEMDiffuse-i learns from isotropic truth along z. vEMDiffuse-a learns from observed sections alone: planes across them,
coarse in one direction, follow each other along y or x as sections do along z.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from vemrecon.data.patches import Patches
from vemrecon.data.source import Source
from vemrecon.data.stack import Float32, Stack, choose_stack, crop_at_random, long_enough
from vemrecon.errors import DataError
from vemrecon.methods.emdiffuse.blur import blurred
from vemrecon.seeding import derive_seed

SIGMA = 3.0
"""Of the blur, in voxels."""


@dataclass(frozen=True)
class Gaps(Patches):
    """`condition` (2, y, x), the later observed section first; `target` (1, y, x), `depth` () behind the earlier one.

    Further `noise` (1, y, x), and the `step` () and `share` () of its level, see `Schedule.between`. All is
    mirrored in y every second time; a training also turns whole batches, since planes of thin volumes are not square,
    and patches of a batch must be alike. Kept sections are no targets; means over slabs are no sections, so that every
    section from the middle of the first slab on is one.

    Source: the vEMDiffuse release, which knows kept sections only; what depends on the degradation is ours.
    """

    crop: int = 256
    """Extent within the plane, less where a volume is smaller."""
    axes: tuple[int, ...] = (0,)
    """What planes follow each other along, one drawn for each patch; 0 (z) takes truth, 1 and 2 observed sections."""
    steps: int = 2000
    """Of the schedule of the training."""
    blur: bool = True
    """Whether observed sections are blurred in training; each every second time."""

    def draw(self, source: Source, rng: np.random.Generator, *, validation: bool = False) -> Mapping[str, Tensor]:
        """A random example.

        Raises:
            LeakError: If the regime does not allow to see the truth.
            DataError: If a volume is too thin.
        """
        axis = self.axes[int(rng.integers(len(self.axes)))]
        found = {a: self._along(source, a, validation) for a in self.axes}
        shapes = [volume.shape for volumes in found.values() for volume in volumes]
        extent = [min(self.crop, *(shape[i] for shape in shapes)) for i in (1, 2)]
        condition, target, depth = gap(found[axis], source, extent, rng)
        if self.blur and not validation:
            chosen = rng.random(2) < 0.5
            condition = np.stack([blurred(c, SIGMA) if b else c for c, b in zip(condition, chosen, strict=True)])
        if rng.random() < 0.5:
            condition, target = condition[:, ::-1], target[:, ::-1]
        noise = rng.standard_normal(target.shape, dtype=np.float32)
        return {
            "condition": torch.from_numpy(np.ascontiguousarray(condition)),
            "target": torch.from_numpy(np.ascontiguousarray(target)),
            "depth": torch.tensor(depth, dtype=torch.float32),
            "noise": torch.from_numpy(noise),
            "step": torch.tensor(int(rng.integers(1, self.steps))),
            "share": torch.tensor(rng.random(), dtype=torch.float32),
        }

    def _along(self, source: Source, axis: int, validation: bool) -> list[Stack]:
        if axis == 0:
            return list(source.truth_in_memory(validation=validation))
        stacks = source.validation_sections if validation else source.sections
        return [stack.transpose((axis, 0, 3 - axis)) for stack in long_enough(stacks, self.crop)]


def gap(
    volumes: list[Stack], source: Source, extent: list[int], rng: np.random.Generator
) -> tuple[Float32, Float32, float]:
    """Two observed planes, the later one first, one of the true ones between them, and its depth.

    Args:
        volumes: Of true planes, which follow each other along the first axis.
        source: Says how planes are observed.
        extent: Of the planes.
        rng: Draws all of it.

    Raises:
        DataError: If a volume is too short.
    """
    degradation = source.degradation.drawn(rng)
    grid = degradation.grid
    first = int(rng.integers(Fraction(source.scale).limit_denominator(1000).denominator))  # cuts of slabs differ
    last = first + 2
    before, after = grid.positions(last)[first:]
    origin, end = grid.touched(first, last)
    block = crop_at_random(choose_stack(volumes, rng), (end - origin, *extent), rng)
    if len(block) < end - origin:
        raise DataError(
            f"{len(block)} planes are too few to learn from at scale {source.scale:g}: gaps need {end - origin}"
        )
    start, stop = degradation.support(first, last, end)
    start = max(start, origin)
    noise = derive_seed(int(rng.integers(2**31)))
    observed = degradation.apply(block[start - origin : stop - origin], start, first, last, end, noise)
    between = np.arange(origin, end)
    wanted = int(rng.choice(between[(between > before if grid.thin else between >= before) & (between < after)]))
    return observed[::-1], block[wanted - origin][None], (wanted - before) / source.scale


def turned(images: Tensor) -> Tensor:
    """A quarter turn of the last two axes, counter-clockwise."""
    return torch.rot90(images, 1, (-2, -1))
