"""A block of a reconstruction, made to be looked at before the whole is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vemrecon.errors import ConfigError
from vemrecon.infer.tiles import TilePlan, axial_step
from vemrecon.own.steps import Ready
from vemrecon.progress import Progress
from vemrecon.volume import Region, Volume, VoxelSize
from vemrecon.volume.region import Triple, triple

SIDES = (64, 96, 128, 192, 256)
"""Edges of a block in voxels along x: less shows no context, more does not fit into a picture."""
MOST_SECONDS = 60.0  # slow methods make a smaller block, but never less than the smallest
QUICK = 1.0  # seconds; a block that took less is made once more, as the first one also loads libraries


@dataclass(frozen=True)
class Block:
    """What a method has made of a part of a volume."""

    volume: Volume
    """The isotropic volume, of which the box alone is there."""
    box: Region
    """In isotropic voxels."""
    region: Region
    """The observed voxels that it is made of."""
    seconds: float
    whole_seconds: float
    """What the whole would take at the same rate."""


def isotropic_size(observed: Volume) -> VoxelSize:
    """Edges of a voxel of the reconstruction in nm; 1 for all where nobody knows the voxel size."""
    if observed.voxel_size is None:
        return VoxelSize(1, 1, 1)
    return observed.voxel_size.scaled(0, 1 / observed.require_grid().scale)


def place_of(observed: Volume, at: Sequence[int] | None, region: Region | None = None) -> Triple:
    """The isotropic voxel that a preview is made around: as far from recorded sections as it gets.

    Args:
        observed: Its grid says where its sections lie.
        at: Voxel (z, y, x) of the observed volume, by default the one in the middle.
        region: What of the observed volume the middle is that of; by default all.

    Raises:
        ConfigError: If the voxel lies outside.
    """
    grid, (count, height, width) = observed.require_grid(), observed.shape
    if at is None:
        inside = region or observed.whole
        at = [(first + stop) // 2 for first, stop in zip(inside.start, inside.stop, strict=True)]
    elif any(not 0 <= a < n for a, n in zip(at, observed.shape, strict=True)):
        shape = f"{count} x {height} x {width}"
        raise ConfigError(f"--preview {' '.join(map(str, at))} lies outside the input of {shape} voxels (z, y, x)")
    section = min(at[0], count - 2)
    z = min(max(0, grid.between(grid.first + section * grid.scale)), grid.extent(count) - 1)
    return z, at[1], at[2]


def sections_beside(observed: Volume, z: int) -> tuple[int, int]:
    """The recorded sections that an isotropic one lies between."""
    below = math.floor(float(observed.require_grid().sections_at(z)))
    below = min(max(0, below), observed.shape[0] - 2)
    return below, below + 1


def preview_block(ready: Ready, at: Triple, progress: Progress) -> Block:
    """Make a block around a voxel, as large as a minute allows; the smallest one tells how large that is.

    Args:
        ready: What is computed; on the first of the devices.
        at: Isotropic voxel (z, y, x).
        progress: Told what is made, and its finished share.
    """
    smallest, *larger = dict.fromkeys(_box(ready.observed, at, side) for side in SIDES)
    block = _timed(ready, smallest, progress)
    if block.seconds < QUICK:
        block = _timed(ready, smallest, progress)
    rate, left = block.seconds / _work(ready, block.region), MOST_SECONDS - block.seconds
    fitting = [box for box in larger if rate * _work(ready, observed_region(ready.observed, box)) <= left]
    return _timed(ready, fitting[-1], progress) if fitting else block


def make_block(ready: Ready, box: Region, progress: Progress) -> Volume:
    """The isotropic volume, of which a box is made and nothing else; arguments as of `preview_block`."""
    observed, like, region = ready.observed, ready.volume, observed_region(ready.observed, box)
    plan = TilePlan.of(observed.shape, observed.require_grid(), ready.method.tile, region=region)
    name = f"preview of {' x '.join(map(str, box.shape))} voxels"
    voxels = replace(ready, region=region).array(lambda _, share, note="": progress(name, share, note))
    return Volume(
        voxels,
        isotropic_size(observed),
        observed.name,
        intensity_range=like.span,
        start=triple([-first for first in plan.start]),  # voxels before and behind the block cannot be read
        extent=_made_shape(observed),
        stated=True,
    )


def observed_region(observed: Volume, box: Region) -> Region:
    """Observed voxels that an isotropic box is made of; tiles see beyond it."""
    grid = observed.require_grid()
    step = axial_step(grid.scale)
    first = math.floor(box.start[0] / grid.scale) // step * step
    stop = min(math.ceil(box.stop[0] / grid.scale), observed.shape[0])
    return Region((first, *box.start[1:]), (stop, *box.stop[1:]))


def _timed(ready: Ready, box: Region, progress: Progress) -> Block:
    clock = time.perf_counter()
    volume, region = make_block(ready, box, progress), observed_region(ready.observed, box)
    seconds = time.perf_counter() - clock
    return Block(volume, box, region, seconds, seconds / _work(ready, region) * _work(ready, ready.region))


def _work(ready: Ready, region: Region | None) -> int:
    """Voxels that the method sees to make a region, those that several tiles see counted for each."""
    observed = ready.observed
    plan = TilePlan.of(observed.shape, observed.require_grid(), ready.method.tile, region=region)
    return sum(place.tile.voxels for place in plan.tiles())


def _box(observed: Volume, at: Triple, side: int) -> Region:
    """Isotropic voxels around one of them, as many nm long in all axes, or as long as the volume."""
    size = isotropic_size(observed)
    return Region.around(at, [max(1, round(side * size.x / edge)) for edge in size], _made_shape(observed))


def _made_shape(observed: Volume) -> Triple:
    """Of the whole isotropic volume."""
    return observed.require_grid().extent(observed.shape[0]), *observed.shape[1:]
