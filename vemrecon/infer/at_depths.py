"""Sections at any depth, by methods that are continuous along z."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vemrecon.files import make_folder
from vemrecon.infer.maker import SLOW
from vemrecon.infer.overlap import read_ahead
from vemrecon.infer.spool import Spool
from vemrecon.infer.tiles import TilePlace, TilePlan
from vemrecon.methods.base import Method, Tile, tile_sections_at
from vemrecon.progress import Share
from vemrecon.volume import Region, Volume


def make_sections(
    method: Method,
    observed: Volume,
    positions: Sequence[float],
    folder: Path,
    *,
    device: str = "cpu",
    region: Region | None = None,
    progress: Share = lambda share: None,
) -> NDArray[np.float32]:
    """Make sections by the tiles of the whole reconstruction, so that they are equal to it where voxels lie.

    Args:
        method: Continuous, in evaluation mode, on the device.
        observed: Shape (z, y, x); knows where its sections lie.
        positions: Counted in observed sections, within what is reconstructed of them.
        folder: Where the stack is kept, and tiles that took long, which an interrupted attempt goes on with.
        device: Where the method runs.
        region: What is made along y and x, in observed voxels; all along z.
        progress: Told the finished share.

    Returns:
        Shape (n, y, x), in [0, 1]; a file of `folder` that is mapped into memory.
    """
    grid, counted = observed.require_grid(), np.asarray(positions, np.float64)
    plan = TilePlan.of(observed.shape, grid, method.tile, region=region)
    heights = grid.first + 0.5 + counted * grid.scale  # above the lower face of the volume, in voxels
    weighed = [(place, plan.ramps.at(0, heights, place.alone)) for place in plan.tiles()]
    todo = [(place, weights) for place, weights in weighed if weights.any()]
    spool, shape = Spool(make_folder(folder) / "tiles"), (len(counted), *plan.made[1:])
    made = np.lib.format.open_memmap(folder / "sections.npy", mode="w+", dtype=np.float32, shape=shape)

    def read(item: tuple[TilePlace, NDArray[np.float32]]) -> NDArray[np.float32]:
        return observed.read(item[0].tile)

    for number, ((place, weights), voxels) in enumerate(read_ahead(read, todo)):
        wanted, clock = np.flatnonzero(weights), time.perf_counter()
        known = spool.found(0, number, 1)
        if known is None:
            tile = Tile(torch.from_numpy(voxels)[None, None].to(device), grid, place.tile.start)
            sections = tile_sections_at(method, tile, (counted[wanted] - place.tile.start[0]).tolist())
            known = [sections[0, 0].cpu().numpy()]
            if time.perf_counter() - clock > SLOW:
                spool.keep(0, number, known)
        y, x = place.inside.slices[1:]
        part = known[0][:, y, x] * weights[wanted, None, None]
        part = part * plan.ramps.along(1, place.alone, place.output)[:, None]
        part = part * plan.ramps.along(2, place.alone, place.output)
        rows, columns = place.output.slices[1:]
        made[wanted, rows, columns] += part
        progress((number + 1) / len(todo))
    return made
