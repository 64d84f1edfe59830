"""`Bins`: which Gaussians each tile of a section sees, front to back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SLACK = 1e-3  # in pixels, against rounding: one sample more is skipped by its opacity, one less would be missed


@dataclass(frozen=True)
class Bins:
    """Gaussians of all tiles, one list after the other.

    Attributes:
        owners: Indices of Gaussians, those of tile 0 first, in depth order within a tile; shape (pairs,).
        starts: Where the list of each tile begins, shape (tiles,).
        counts: How long it is, shape (tiles,).
    """

    owners: Tensor
    starts: Tensor
    counts: Tensor


@torch.no_grad()
def bin_splats(
    means: Tensor, covariances: Tensor, opacities: Tensor, grid: tuple[int, int], tile: int, cut: float
) -> Bins:
    """Sort Gaussians into the tiles that hold a sample of at least `cut`.

    The opacity falls to `cut` on an ellipse, whose bounding box is exact. Pairs are made in index order and sorted
    stably by tile, so that no sort by depth is needed.

    Args:
        means: Shape (n, 2).
        covariances: Columns (xx, xy, yy), shape (n, 3).
        opacities: Shape (n,).
        grid: Rows and columns of tiles.
        tile: Pixels along a side of a tile.
        cut: Above 0.
    """
    reach = (2 * torch.log(opacities / cut)).clamp_min(0)[:, None].sqrt() * covariances[:, ::2].sqrt() + SLACK
    last = torch.tensor(grid[::-1], device=means.device) - 1  # of columns and of rows, as x and y
    # numbers that are not finite go to the first tile, where they are seen to spoil the section
    low = torch.nan_to_num(((means - reach + 0.5) / tile - 1).ceil(), nan=0.0, posinf=0.0, neginf=0.0).long()
    high = torch.nan_to_num(((means + reach - 0.5) / tile).floor(), nan=0.0, posinf=0.0, neginf=0.0).long()
    low, high = low.clamp_min(0), torch.minimum(high, last)
    spans = (high - low + 1).clamp_min(0) * ~(opacities < cut)[:, None]  # (n, 2)
    pairs = spans.prod(dim=1)
    owners = torch.repeat_interleave(pairs)
    number = torch.arange(len(owners), device=means.device) - (pairs.cumsum(0) - pairs)[owners]
    width = spans[owners, 0]
    column = low[owners, 0] + number % width
    row = low[owners, 1] + torch.div(number, width, rounding_mode="floor")
    tiles, order = torch.sort(row * grid[1] + column, stable=True)
    counts = torch.bincount(tiles, minlength=grid[0] * grid[1])
    return Bins(owners[order], counts.cumsum(0) - counts, counts)
