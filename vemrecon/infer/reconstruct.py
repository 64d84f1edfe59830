"""Reconstruct a volume tile by tile into a zarr array, block by block, going on where an earlier attempt stopped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vemrecon.files import output_error
from vemrecon.methods.base import Method, Tile, TileShape, reconstruct_tile
from vemrecon.progress import Share
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, quantise
from vemrecon.volume.ome_zarr import create_zarr
from vemrecon.volume.region import Triple, triple
from vemrecon.volume.volume import moved, swapped


@dataclass(frozen=True)
class Block:
    """A part of the reconstruction that one writer writes: the observed core, the tile around it, and the output."""

    core: Region
    tile: Region
    output: Region


def axial_step(scale: float) -> int:
    """Smallest number of observed sections whose output is a whole number of sections.

    Tiles start only at multiples of it, otherwise they do not register with each other: 2 for a scale of 2.5.
    """
    return Fraction(scale).limit_denominator(1000).denominator


def blocks(shape: Triple, grid: SectionGrid, tile: TileShape) -> Iterator[Block]:
    """Blocks that cover a reconstruction without overlap, in z, y, x order.

    Args:
        shape: Of the observed volume.
        grid: Where its sections lie. If they begin behind the first voxel, the first voxels of a block lie before its
            first section, so that it sees one more of them.
        tile: Core size and halo in observed voxels.
    """
    step = axial_step(grid.scale)
    depth = max(step, tile.z // step * step)
    whole = Region.whole(shape)
    reach = tile.halo[0] + (grid != grid.canonical)
    halo = (-(-reach // step) * step, tile.halo[1], tile.halo[2])
    for core in whole.blocks((depth, tile.y, tile.x)):
        start = triple([grid.extent(core.start[0]), *core.start[1:]])
        end = grid.extent(core.stop[0])
        yield Block(core, core.expanded(halo, whole), Region(start, triple([end, *core.stop[1:]])))


def reconstruct_volume(
    method: Method,
    observed: Volume,
    path: Path,
    *,
    like: Volume,
    axis: int = 0,
    uncertainty: Path | None = None,
    device: str = "cpu",
    progress: Share = lambda share: None,
) -> None:
    """Reconstruct an observed volume into an OME-Zarr folder.

    Blocks that an interrupted attempt has finished are kept; every chunk of the output has one writer.

    Args:
        method: In evaluation mode.
        observed: Shape (z, y, x); its grid says how many sections to make, and where its own lie among them.
        path: The zarr folder; `blocks.log` beside it lists what is finished.
        like: Gives dtype and intensity range of the voxels written; values are rounded half to even.
        axis: The coarse axis, 0 for z; any other one is turned to the front for the method, and back.
        uncertainty: A second zarr folder for the uncertainty, if wanted; float32, on the scale where black is 0 and
            white is 1, since it is often less than a grey level.
        device: Where the method runs.
        progress: Told the finished share.

    Raises:
        DataError: If nobody said where the sections lie.
        OutputError: If the output cannot be written.
    """
    observed = observed.with_axis_first(axis)
    order = swapped(axis)
    todo = list(blocks(observed.shape, observed.require_grid(), method.tile))
    log = path.with_name("blocks.log")
    try:
        finished = _finished(path, log)
        outputs = [(path, like.dtype, like.intensity_range)]
        if uncertainty is not None:
            outputs.append((uncertainty, np.dtype(np.float32), None))
        block = todo[0].output.shape
        arrays = [_reopen(p) if finished else _create(p, observed, dtype, block, axis) for p, dtype, _ in outputs]
        with log.open("a", encoding="utf-8") as record:
            for number, part in enumerate(todo):
                if number not in finished:
                    results = _reconstruct(method, observed, part, device, axis == 0, uncertainty is not None)
                    for array, voxels, (_, dtype, span) in zip(arrays, results, outputs, strict=True):
                        grey = quantise(voxels, dtype, span)
                        array[tuple(part.output.slices[i] for i in order)] = grey.transpose(order)
                    record.write(json.dumps(number) + "\n")
                    record.flush()
                    os.fsync(record.fileno())
                progress((number + 1) / len(todo))
    except OSError as error:
        raise output_error(path, error) from error


def _reconstruct(
    method: Method, observed: Volume, block: Block, device: str, turns: bool, spread: bool
) -> list[np.ndarray]:
    grid = observed.require_grid()
    voxels = torch.from_numpy(observed.read(block.tile))[None, None].to(device)
    results = reconstruct_tile(method, Tile(voxels, grid, block.tile.start, turns), spread=spread)
    origin = (grid.extent(block.tile.start[0]), *block.tile.start[1:])
    return [result[0, 0][block.output.relative_to(origin).slices].cpu().numpy() for result in results]


def _finished(path: Path, log: Path) -> set[int]:
    """Numbers of finished blocks; a last line cut off by a kill does not count."""
    if not (path / "0" / "zarr.json").exists():
        log.unlink(missing_ok=True)
        return set()
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        log.write_text(text, encoding="utf-8")
    return {int(line) for line in text.split()}


def _create(path: Path, observed: Volume, dtype: np.dtype[Any], block: Triple, axis: int) -> Any:
    shutil.rmtree(path, ignore_errors=True)
    grid = observed.require_grid()
    sections = grid.extent(observed.shape[0])
    size = observed.voxel_size and observed.voxel_size.scaled(0, 1 / grid.scale)
    z, y, x = (moved(observed.origin, (-grid.first, 0, 0), size)[i] for i in swapped(axis))
    # chunks are whole parts of a block, so that no two blocks share one
    chunks = triple([block[0], *(min(64, n) if n % min(64, n) == 0 else n for n in block[1:])])
    shape, order = (sections, *observed.shape[1:]), swapped(axis)
    upright = size and VoxelSize(*(tuple(size)[i] for i in order))
    return create_zarr(
        path,
        triple([shape[i] for i in order]),
        dtype,
        upright,
        chunks=triple([chunks[i] for i in order]),
        origin=(z, y, x),
    )


def _reopen(path: Path) -> Any:
    import zarr

    return zarr.open_array(path / "0", mode="r+")
