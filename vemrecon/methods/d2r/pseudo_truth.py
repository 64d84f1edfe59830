"""D2R's second stage: an isotropic volume from a restorer of single sections, as training material for the third.

Both lateral passes (planes along y and along x, z in their rows) are restored tile by tile and averaged, and the tiles
are joined with linear ramps. The restorer, a diffusion model in D2R, is passed in.

Source: D2R's released code. Changed: tiles are kept and joined in float32 (there: half precision, then truncated to 8
bit), and volumes smaller than a tile are taken as they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.volume import Grid
from vemrecon.volume.region import Triple

Restore = Callable[[Tensor], Tensor]
"""Interpolated planes (n, 1, rows, columns) to restored ones of the same shape."""
TILE: Triple = (32, 256, 256)
OVERLAP: Triple = (4, 4, 4)


def enlarge_rows(planes: Tensor, factor: int, grid: Grid) -> Tensor:
    """Bicubic interpolation of rows alone, (n, 1, rows, columns) to (n, 1, factor rows, columns).

    Args:
        planes: Observed rows.
        factor: Rows to make of each.
        grid: Where they lie. The released code takes `centred` for kept rows too, which moves them by
            (factor - 1) / 2; a restorer must be used with the grid it was trained with.
    """
    weights = torch.from_numpy(interpolation_matrix("cubic_a-0.75", planes.shape[2], factor, grid))
    return weights.to(planes) @ planes


def restored_pass(tile: Tensor, restore: Restore, factor: int, grid: Grid, along: int, batch: int = 32) -> Tensor:
    """All planes of one orientation, restored.

    Args:
        tile: Shape (z, y, x).
        restore: The restorer.
        factor: Sections to make of each one.
        grid: See `enlarge_rows`.
        along: 1 restores the xz planes along y, 2 the yz planes along x.
        batch: Planes at once.

    Returns:
        Shape (factor z, y, x).
    """
    planes = tile.movedim(along, 0)[:, None]  # (n, 1, z, columns)
    parts = [restore(enlarge_rows(part, factor, grid)) for part in planes.split(batch)]
    return torch.cat(parts)[:, 0].movedim(0, along)


def restored_tile(tile: Tensor, restore: Restore, factor: int, grid: Grid, batch: int = 32) -> Tensor:
    """Mean of both passes, shape (factor z, y, x)."""
    passes = [restored_pass(tile, restore, factor, grid, along, batch) for along in (1, 2)]
    return 0.5 * (passes[0] + passes[1])


def tile_centres(length: int, tile: int, overlap: int) -> list[int]:
    """Centres of the tiles along an axis, which reach `tile // 2` to either side; the last one is moved inwards.

    >>> tile_centres(10, 4, 2), tile_centres(3, 4, 2)
    ([2, 4, 6, 8], [1])

    Raises:
        DataError: If tiles do not reach beyond their overlap.
    """
    tile = min(tile, length)
    if tile == length:
        return [length // 2]
    if tile <= overlap or tile % 2:
        raise DataError(f"tiles must be even and longer than their overlap of {overlap} voxels, got {tile}")
    count = math.ceil((length - overlap) / (tile - overlap))
    return [min(tile // 2 + i * (tile - overlap), length - tile // 2) for i in range(count)]


def joined(parts: Sequence[Tensor], axis: int, overlap: int, length: int) -> Tensor:
    """Parts that overlap along an axis, blended by ramps from 1 to 0; the last overlap grows to end at `length`."""
    result = parts[0]
    for part in parts[1:]:
        n, more = result.shape[axis], part.shape[axis]
        shared = overlap if n + more - overlap <= length else n + more - length
        shape = [-1 if i == axis else 1 for i in range(3)]
        ramp = torch.linspace(1, 0, shared, dtype=result.dtype, device=result.device).reshape(shape)
        blend = result.narrow(axis, n - shared, shared) * ramp + part.narrow(axis, 0, shared) * (1 - ramp)
        result = torch.cat(
            [result.narrow(axis, 0, n - shared), blend, part.narrow(axis, shared, more - shared)], dim=axis
        )
    return result


def stitched(tiles: Sequence[Tensor], counts: Triple, shape: Triple, overlap: Triple) -> Tensor:
    """Tiles joined along x, then y, then z.

    Args:
        tiles: In order z, y, x (x fastest), shape (z, y, x) each.
        counts: Number of tiles along z, y, x.
        shape: Of the result.
        overlap: Of neighbouring tiles, in voxels of the result.
    """
    parts = list(tiles)
    for axis in (2, 1, 0):
        n = counts[axis]
        parts = [joined(parts[i : i + n], axis, overlap[axis], shape[axis]) for i in range(0, len(parts), n)]
    return parts[0]


@torch.no_grad()
def pseudo_truth(
    volume: Tensor,
    restore: Restore,
    factor: int,
    grid: Grid,
    *,
    tile: Triple = TILE,
    overlap: Triple = OVERLAP,
    batch: int = 32,
) -> Tensor:
    """An isotropic volume from a restorer of planes.

    Args:
        volume: Observed sections, shape (z, y, x), in [0, 1].
        restore: Restorer of planes whose rows are the axial axis.
        factor: Sections to make of each one.
        grid: See `enlarge_rows`.
        tile: In observed voxels, even.
        overlap: In observed voxels.
        batch: Planes at once.

    Returns:
        Shape (factor z, y, x), not clipped. Observed section k is the one at `factor k`, or in the middle of its slab.
    """
    z, y, x = volume.shape
    centres = [tile_centres(n, size, o) for n, size, o in zip((z, y, x), tile, overlap, strict=True)]
    tiles = []
    for middle in itertools.product(*centres):
        regions = [
            slice(0, n) if n <= size else slice(at - size // 2, at + size // 2)
            for at, size, n in zip(middle, tile, (z, y, x), strict=True)
        ]
        tiles.append(restored_tile(volume[tuple(regions)], restore, factor, grid, batch))
    counts = (len(centres[0]), len(centres[1]), len(centres[2]))
    wide = (overlap[0] * factor, overlap[1], overlap[2])
    return stitched(tiles, counts, (factor * z, y, x), wide)
