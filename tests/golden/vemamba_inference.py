"""The released inference of VEMamba on whole volumes in memory: tiles, rotations, and how they are blended.

Volumes here are in observed order (z, y, x) with z coarse; the model order (F, h, W) is (y, z, x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from vemrecon.errors import DataError, unknown
from vemrecon.methods.vemamba.encoder import embedding_input, reflected
from vemrecon.methods.vemamba.network import VEMambaNet
from vemrecon.volume.region import Triple

Rotation = tuple[int, int]
IDENTITY: Rotation = (0, 0)
ROTATIONS: tuple[Rotation, ...] = tuple(product((0, 2), range(4)))
"""Quarter turns in the z-x plane, then in the y-x plane; the eight that keep z along z."""


def rotate(volume: Tensor, rotation: Rotation) -> Tensor:
    """Turn a volume (b, c, z, y, x)."""
    return torch.rot90(torch.rot90(volume, rotation[0], (2, 4)), rotation[1], (3, 4))


def rotate_back(volume: Tensor, rotation: Rotation) -> Tensor:
    """Undo `rotate`."""
    return torch.rot90(torch.rot90(volume, -rotation[1], (3, 4)), -rotation[0], (2, 4))


def enlarge(
    net: VEMambaNet,
    encoder: Callable[[Tensor], Tensor] | None,
    observed: Tensor,
    rotations: Sequence[Rotation] = (IDENTITY,),
    embedding_axis: str = "F",
) -> Tensor:
    """Mean reconstruction of a tile over some rotations, not clipped.

    Args:
        net: The network, in evaluation mode.
        encoder: Sections (b, 8, rows, columns) to embedding (b, 128), in evaluation mode; None for a network without.
        observed: Shape (b, 1, z, y, x), in [0, 1].
        rotations: `ROTATIONS` for the released average of eight.
        embedding_axis: Axis of the eight sections that the encoder sees: `F`, along y as in training, or `Z`, along the
            coarse axis as in the released inference.

    Returns:
        Shape (b, 1, scale * z, y, x).
    """
    if embedding_axis not in ("F", "Z"):
        raise unknown("axis of the embedding", embedding_axis, ("F", "Z"))
    total: Tensor | None = None
    for rotation in rotations:
        turned = rotate(observed, rotation)
        x = turned.transpose(2, 3)  # (b, 1, F, h, W)
        d = None if encoder is None else encoder(embedding_input(x if embedding_axis == "F" else turned))
        result = rotate_back(net(x, d).transpose(2, 3), rotation)
        total = result if total is None else total + result
    if total is None:
        raise DataError("VEMamba: no rotations given, expected at least the identity (0, 0)")
    return total / len(rotations)


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First voxels of overlapping tiles along an axis; the last one is pushed back inside.

    >>> tile_starts(20, 8, 4), tile_starts(10, 8, 4)
    ([0, 4, 8, 12], [0, 2])
    """
    if tile > length or not 0 <= overlap < tile:
        raise DataError(f"tiles of {tile} voxels with overlap {overlap} do not fit an axis of {length}")
    count = max(1, math.ceil((length - overlap) / (tile - overlap)))
    return [min(i * (tile - overlap), length - tile) for i in range(count)]


def blend_axis(parts: Sequence[Tensor], starts: Sequence[int], axis: int) -> Tensor:
    """Join pieces along an axis; in an overlap of n samples the new piece gets weight i / n, i = 0 .. n - 1."""
    joined = parts[0]
    for part, start in zip(parts[1:], starts[1:], strict=True):
        n = joined.shape[axis] - start
        old, new = joined.narrow(axis, start, n), part.narrow(axis, 0, n)
        weight = torch.arange(n, device=part.device) / n
        weight = weight.to(part.dtype).view([-1 if i == axis else 1 for i in range(3)])
        mixed = old * (1 - weight) + new * weight
        joined = torch.cat([joined.narrow(axis, 0, start), mixed, part.narrow(axis, n, part.shape[axis] - n)], dim=axis)
    return joined


def stitch(
    tiles: Sequence[Tensor], size: Triple, tile: Triple, overlap: int, scale: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Blend reconstructed tiles along x, then y, then z.

    Args:
        tiles: In raster order of their positions, each (scale * z, y, x).
        size: Of the observed volume (z, y, x).
        tile: Size of the observed tiles.
        overlap: In observed voxels, on every axis.
        scale: Axial enlargement.
        dtype: Of the accumulator; float16 as released costs errors of about 1e-3.

    Returns:
        Shape (scale * z, y, x).
    """
    z, y, x = (tile_starts(n, t, overlap) for n, t in zip(size, tile, strict=True))
    pieces = iter(t.to(dtype) for t in tiles)
    slabs = [blend_axis([blend_axis([next(pieces) for _ in x], x, 2) for _ in y], y, 1) for _ in z]
    return blend_axis(slabs, [scale * start for start in z], 0)


def released_volume(
    net: VEMambaNet,
    encoder: Callable[[Tensor], Tensor] | None,
    observed: Tensor,
    tile: Triple = (16, 128, 128),
    overlap: int = 8,
    *,
    rotations: Sequence[Rotation] = ROTATIONS,
    embedding_axis: str = "F",
    dtype: torch.dtype = torch.float32,
    truncate: bool = False,
) -> Tensor:
    """Reconstruct a whole volume in memory with overlapping tiles.

    Args:
        net: The network, in evaluation mode.
        encoder: See `enlarge`.
        observed: Shape (z, y, x), uint8; mirrored up to the size of a tile if smaller.
        tile: Observed voxels per tile.
        overlap: See `stitch`.
        rotations: See `enlarge`.
        embedding_axis: See `enlarge`; `Z` as released.
        dtype: See `stitch`; float16 as released.
        truncate: Cut off to integers as released, instead of rounding.

    Returns:
        Shape (scale * z, y, x), uint8.
    """
    shape = tuple(observed.shape)
    for axis, wanted in enumerate(tile):
        if shape[axis] < wanted:
            observed = observed.index_select(axis, torch.tensor(reflected(wanted, shape[axis]), device=observed.device))
    size: Triple = (observed.shape[0], observed.shape[1], observed.shape[2])
    starts = product(*(tile_starts(n, t, overlap) for n, t in zip(size, tile, strict=True)))
    tiles = []
    for at in starts:
        part = observed[tuple(slice(i, i + t) for i, t in zip(at, tile, strict=True))].float()[None, None] / 255
        tiles.append(enlarge(net, encoder, part, rotations, embedding_axis)[0, 0])
    whole = stitch(tiles, size, tile, overlap, net.scale, dtype)[: net.scale * shape[0], : shape[1], : shape[2]]
    grey = whole.float().clamp(0, 1) * 255
    return (grey if truncate else grey.round()).to(torch.uint8)
