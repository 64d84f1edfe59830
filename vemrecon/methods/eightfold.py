"""Averaging over the eight rotations that keep the axial axis, with sections kept in register.

Source: IsoVEM, test-time augmentation; metrics page, section "uncertainty over eight rotations".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vemrecon.methods.base import Tile
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Triple

ALL = tuple(range(8))
Z, Y, X = -3, -2, -1


def rotate(volume: Tensor, index: int) -> Tensor:
    """Turn (..., z, y, x): a half turn in (z, x) for index >= 4, then index % 4 quarter turns from y towards x."""
    volume = volume.flip((Z, X)) if index >= 4 else volume
    return torch.rot90(volume, index % 4, (Y, X))


def turned_start(start: Triple, shape: Sequence[int], index: int) -> Triple:
    """Where a tile begins in its volume turned by `rotate`, so that all tiles of a volume agree on it.

    An axis that is reversed counts from its other end, from -1 downwards. Along z it stays what it was.

    Args:
        start: Of the tile (z, y, x).
        shape: Of the tile (z, y, x), before it is turned.
        index: Of the rotation.
    """
    z, y, x = start
    reversed_y, reversed_x = -(y + shape[1]), -(x + shape[2])
    if index >= 4:
        x, reversed_x = reversed_x, x
    return ((z, y, x), (z, reversed_x, y), (z, reversed_y, reversed_x), (z, x, reversed_y))[index % 4]


def rotate_back(volume: Tensor, index: int) -> Tensor:
    """Undo `rotate`."""
    volume = torch.rot90(volume, -index % 4, (Y, X))
    return volume.flip((Z, X)) if index >= 4 else volume


def eightfold_tile(
    restore: Callable[[Tensor], Tensor], tile: Tile, rotations: Sequence[int] = ALL
) -> tuple[Tensor, Tensor]:
    """`eightfold` for a network that enlarges rows and takes the planes along y as its frames.

    Args:
        restore: Maps (1, 1, y, z, x) to (1, 1, y, round(z * scale), x).
        tile: What is observed.
        rotations: Orientations.

    Returns:
        Mean and spread, shape (1, 1, round(z * scale), y, x) each.
    """

    def upright(volume: Tensor) -> Tensor:
        return restore(volume.transpose(0, 1)[None, None])[0, 0].transpose(0, 1)

    if not tile.turns:
        rotations = sorted({index - index % 2 for index in rotations})  # the nearest one without a quarter turn
    mean, spread = eightfold(upright, tile.observed[0, 0], tile.grid, rotations)
    return mean[None, None], spread[None, None]


def eightfold(
    reconstruct: Callable[[Tensor], Tensor], observed: Tensor, grid: SectionGrid, rotations: Sequence[int] = ALL
) -> tuple[Tensor, Tensor]:
    """Mean and spread of the reconstructions of a tile in several orientations, see `eightfold_of`.

    Args:
        reconstruct: Maps (z, y, x) to (round(z * scale), y, x).
        observed: Shape (z, y, x).
        grid: Where sections lie.
        rotations: Orientations, at least one of them below 4.
    """
    return eightfold_of(lambda index: reconstruct(rotate(observed, index)), grid, rotations)


def eightfold_of(
    made: Callable[[int], Tensor], grid: SectionGrid, rotations: Sequence[int] = ALL
) -> tuple[Tensor, Tensor]:
    """Mean and spread of what was made of a tile in several orientations.

    Turned upside down, kept sections lie elsewhere (`SectionGrid.upside_down`), so such a reconstruction is moved back,
    by scale - 1 sections where they begin with the volume; as many at its end are then left to the upright ones.

    Args:
        made: The reconstruction of the tile turned by `rotate`, still turned, by its index.
        grid: Where sections lie.
        rotations: Orientations, at least one of them below 4.

    Returns:
        Mean and population standard deviation, shape (round(z * scale), y, x) each, not clipped.
    """
    lag = round(grid.upside_down.first - grid.first)
    results = []
    for index in rotations:
        result = rotate_back(made(index), index)
        if index >= 4 and lag:
            missing = result.new_full((lag, *result.shape[1:]), torch.nan)
            result = torch.cat([result[lag:], missing])
        results.append(result)
    stack = torch.stack(results)
    mean = stack.nanmean(dim=0)
    return mean, (stack - mean).square().nanmean(dim=0).sqrt()
