"""`Estimate`: what a reconstruction will take, before it begins."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from vemrecon.errors import ConfigError
from vemrecon.infer.maker import tile_output
from vemrecon.infer.overlap import AHEAD
from vemrecon.infer.tiles import FILE_VOXELS, TilePlace, TilePlan
from vemrecon.methods.base import Method
from vemrecon.processes import peak_memory
from vemrecon.volume import Region, Volume
from vemrecon.volume.region import Triple

BLOCKS_HELD = 5  # one that is made, one that is written, which takes three times as much while it is compressed
COPIES = 7  # of what a tile becomes, while it is made
QUICK = 1.0  # seconds; a tile that took less is made once more, as the first one also loads libraries
BLENDED_HELD = 3  # sums of a block and its surroundings: one that is made, one that is written, one that is read
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """Of one reconstruction; bytes are those of voxels, before they are compressed."""

    observed: Triple
    observed_bytes: int
    made: Triple
    made_bytes: int
    dtype: str
    tiles: int
    files: int
    """Coarser levels included."""
    tile_seconds: float
    seconds: float
    """From one tile, made on the device; reading and writing happen meanwhile."""
    memory_bytes: int
    """What the process takes at most."""


def estimate(
    method: Method,
    observed: Volume,
    device: str = "cpu",
    most: int | None = None,
    spread: bool = False,
    region: Region | None = None,
) -> Estimate:
    """Make the tile in the middle, a small one where tiles may be large, and count.

    Args:
        method: In evaluation mode, on the device.
        observed: Its grid says how many sections to make.
        device: Where the method runs.
        most: Voxels of a block.
        spread: Whether the uncertainty is written, too.
        region: What is reconstructed, in observed voxels; by default all.
    """
    plan = TilePlan.of(observed.shape, observed.require_grid(), method.tile, most, region, pyramid=True)
    small = _smallest(method, observed, most, region)
    places = list(small.tiles(small.blocks()[len(small.blocks()) // 2]))
    place = places[len(places) // 2]
    seconds = _timed(method, observed, small, place, device, spread)
    if seconds < QUICK:
        seconds = _timed(method, observed, small, place, device, spread)
    itemsize, voxels = _itemsize(observed, spread), math.prod(plan.made)
    seen, before = ([one.tile.voxels for one in which.tiles()] for which in (plan, small))
    larger = max(seen) / max(before)
    waiting = FLOAT_BYTES * ((AHEAD + 1) * max(seen) + COPIES * int((larger - 1) * place.output.voxels))
    return Estimate(
        observed.shape,
        observed.whole.voxels * observed.dtype.itemsize,
        plan.made,
        voxels * itemsize,
        observed.dtype.name,
        len(seen),
        plan.files,
        seconds * larger,
        seconds * voxels / place.alone.voxels * sum(seen) / sum(before),
        peak_memory() + waiting + math.prod(plan.levels[0].shard) * _held(method, observed, spread),
    )


def most_voxels(memory: int, method: Method, observed: Volume, spread: bool = False) -> int:
    """Voxels of the largest blocks that fit into a memory, beside what the process takes already.

    What a network takes for itself while it makes a tile is known when it has made one.

    Args:
        memory: Of the whole process, in bytes.
        method: Ready to reconstruct, on its device.
        observed: Its grid says how many sections to make.
        spread: Whether the uncertainty is written, too.

    Raises:
        ConfigError: If not even a tile fits.
    """
    most, small, each = FILE_VOXELS, _smallest(method, observed), _held(method, observed, spread)
    if method.stages():
        blocks = small.blocks()
        place = next(iter(small.tiles(blocks[len(blocks) // 2])))
        _timed(method, observed, small, place, str(method.device), spread)
    while True:
        plan = TilePlan.of(observed.shape, small.grid, method.tile, most)
        free, block = memory - peak_memory() - _tile_bytes(plan), _tile_made(plan) * each
        if free >= block:
            return min(int(free / each), most)
        if plan.core == small.core:
            name, needed = type(method).__name__, memory - free + block
            raise ConfigError(f"--memory: with tiles of {name} the process takes {needed / 2**30:.2f} GiB; allow more")
        most //= 2  # smaller blocks have smaller tiles


def _smallest(method: Method, observed: Volume, most: int | None = None, region: Region | None = None) -> TilePlan:
    """The plan with tiles as small as the method can be asked for: large ones take minutes, and memory."""
    tile = replace(method.tile, largest=0)
    return TilePlan.of(observed.shape, observed.require_grid(), tile, most, region)


def _tile_made(plan: TilePlan) -> float:
    """Voxels that a tile in the middle becomes."""
    scales = (plan.grid.scale, 1, 1)
    cores = [min(n, edge) * scale for n, edge, scale in zip(plan.shape, plan.core, scales, strict=True)]
    return math.prod(edge + 2 * reach for edge, reach in zip(cores, plan.reach, strict=True))


def _tile_bytes(plan: TilePlan) -> float:
    """What tiles take that wait, and what one becomes."""
    sides = [min(n, core + 2 * halo) for n, core, halo in zip(plan.shape, plan.core, plan.halo, strict=True)]
    return FLOAT_BYTES * ((AHEAD + 1) * math.prod(sides) + COPIES * _tile_made(plan))


def _itemsize(observed: Volume, spread: bool) -> int:
    """Bytes of a voxel in all arrays that are written."""
    return int(observed.dtype.itemsize) + FLOAT_BYTES * spread


def _held(method: Method, observed: Volume, spread: bool) -> int:
    """Bytes that a voxel of a block takes in memory; blended ones are summed up in floats, made and read."""
    written = BLOCKS_HELD * _itemsize(observed, spread)
    return written + BLENDED_HELD * FLOAT_BYTES * (1 + spread) * method.tile.blended


def _timed(method: Method, observed: Volume, plan: TilePlan, place: TilePlace, device: str, spread: bool) -> float:
    clock = time.perf_counter()
    tile_output(method, plan.grid, place, observed.read(place.tile), device, spread=spread)
    return time.perf_counter() - clock
