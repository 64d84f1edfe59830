"""Overlapping tiles of a volume in memory, fused axis by axis with linear ramps as in the released code.

Volumes of any size are reconstructed by `vemrecon.infer`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vemrecon.errors import DataError

OVERLAP = 8  # input voxels, on every axis
Shape = tuple[int, int, int]


def tile_starts(length: int, tile: int, overlap: int = OVERLAP) -> list[int]:
    """First voxel of each tile along an axis; the last tile is moved back to end with the axis.

    >>> tile_starts(21, 16)
    [0, 5]
    """
    tile = min(tile, length)
    if tile < length and tile <= overlap:
        raise DataError(f"tiles of {tile} voxels must be longer than their overlap of {overlap}")
    count = 1 if tile == length else math.ceil((length - overlap) / (tile - overlap))
    return [min(k * (tile - overlap), length - tile) for k in range(count)]


def join(first: Tensor, second: Tensor, axis: int, overlap: int) -> Tensor:
    """Blend two neighbours: at overlapping voxel i the second one weighs `i / overlap`."""
    start = first.shape[axis] - overlap
    shape = [1] * first.dim()
    shape[axis] = overlap
    ramp = (torch.arange(overlap, dtype=first.dtype, device=first.device) / max(overlap, 1)).reshape(shape)
    blended = torch.lerp(first.narrow(axis, start, overlap), second.narrow(axis, 0, overlap), ramp)
    rest = second.narrow(axis, overlap, second.shape[axis] - overlap)
    return torch.cat([first.narrow(axis, 0, start), blended, rest], dim=axis)


def fuse_axis(tiles: Sequence[Tensor], axis: int, overlap: int, length: int) -> Tensor:
    """Join tiles along an axis; where the result would exceed `length`, the overlap grows so that it ends there."""
    result = tiles[0]
    for tile in tiles[1:]:
        excess = result.shape[axis] + tile.shape[axis] - overlap - length
        result = join(result, tile, axis, overlap + max(excess, 0))
    return result


def fuse(tiles: Sequence[Tensor], grid: Shape, whole: Shape, scale: float, overlap: int = OVERLAP) -> Tensor:
    """Fuse tiles along x, then y, then z.

    Args:
        tiles: Shape (sections, y, x) each, in order z, y, x (x fastest).
        grid: Number of tiles along z, y, x.
        whole: Size of the observed volume (z, y, x).
        scale: Axial voxels of each section.
        overlap: In observed voxels.

    Returns:
        Shape (sections, y, x). For a fractional `overlap * scale` tiles drift by up to a voxel each, and a few sections
        may be missing at the end, as in the released code.
    """
    nz, ny, nx = grid
    rows = [fuse_axis(tiles[i * nx : (i + 1) * nx], 2, overlap, whole[2]) for i in range(nz * ny)]
    slabs = [fuse_axis(rows[i * ny : (i + 1) * ny], 1, overlap, whole[1]) for i in range(nz)]
    return fuse_axis(slabs, 0, int(overlap * scale), int(whole[0] * scale))
