"""`Estimate`: what a reconstruction will take, before it begins."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from vemrecon.errors import ConfigError
from vemrecon.infer.overlap import AHEAD
from vemrecon.infer.tiles import FILE_VOXELS, TilePlace, TilePlan
from vemrecon.methods.base import Method, Tile, reconstruct_tile
from vemrecon.processes import peak_memory
from vemrecon.volume import Volume
from vemrecon.volume.region import Triple

BLOCKS_HELD = 2  # one that is made, one that is written
QUICK = 1.0  # seconds; a tile that took less is made once more, as the first one also loads libraries
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """Of one reconstruction; bytes are those of voxels, before they are compressed."""

    observed: Triple
    observed_bytes: int
    made: Triple
    made_bytes: int
    tiles: int
    blocks: int
    """Which are files."""
    tile_seconds: float
    seconds: float
    """From one tile, made on the device; reading and writing happen meanwhile."""
    memory_bytes: int
    """What the process takes at most."""


def estimate(method: Method, observed: Volume, plan: TilePlan, dtype: np.dtype, device: str = "cpu") -> Estimate:
    """Make the tile in the middle, and count.

    Args:
        method: In evaluation mode, on the device.
        observed: The volume, its coarse axis first.
        plan: How it is divided.
        dtype: Of the voxels that are written.
        device: Where the method runs.
    """
    places = list(plan.tiles(plan.blocks()[len(plan.blocks()) // 2]))
    place = places[len(places) // 2]
    seconds = _timed(method, observed, plan, place, device)
    if seconds < QUICK:
        seconds = _timed(method, observed, plan, place, device)
    voxels = math.prod(plan.made)
    waiting = (AHEAD + 1) * place.tile.voxels * FLOAT_BYTES
    return Estimate(
        observed.shape,
        observed.whole.voxels * observed.dtype.itemsize,
        plan.made,
        voxels * dtype.itemsize,
        sum(1 for _ in plan.tiles()),
        len(plan.blocks()),
        seconds,
        seconds * voxels / place.output.voxels,
        peak_memory() + waiting + BLOCKS_HELD * math.prod(plan.shard) * dtype.itemsize,
    )


def _timed(method: Method, observed: Volume, plan: TilePlan, place: TilePlace, device: str) -> float:
    clock = time.perf_counter()
    voxels = torch.from_numpy(observed.read(place.tile))[None, None].to(device)
    reconstruct_tile(method, Tile(voxels, plan.grid, place.tile.start))[0].cpu()
    return time.perf_counter() - clock


def most_voxels(memory: int, method: Method, plan: TilePlan, itemsize: int) -> int:
    """Voxels of the largest blocks that fit into a memory, beside what the process takes already.

    Args:
        memory: Of the whole process, in bytes.
        method: Ready to reconstruct.
        plan: Any plan of the volume; tells the tile.
        itemsize: Bytes of a voxel that is written, in all arrays.

    Raises:
        ConfigError: If not even a tile fits.
    """
    tile = math.prod(n + 2 * h for n, h in zip(plan.core, plan.halo, strict=True))
    made = math.prod(plan.core) * plan.grid.scale
    waiting = FLOAT_BYTES * ((AHEAD + 1) * tile + 4 * made)  # a few copies of what a tile becomes
    free = memory - peak_memory() - waiting
    most = int(free / (BLOCKS_HELD * itemsize))
    if most < made:
        least = peak_memory() + waiting + BLOCKS_HELD * made * itemsize
        raise ConfigError(
            f"--memory: a tile of {type(method).__name__} needs {least / 2**30:.2g} GiB in all; allow more"
        )
    return min(most, FILE_VOXELS)
