"""The eight rotations that keep the axial axis, and reconstruction averaged over them.

Training picks one at random; inference uses all, and their spread is the uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from vemrecon.methods.eightfold import rotate, rotate_back

ROTATIONS = 8


class VideoNet(Protocol):
    """What reconstructs frames: `IsoVEMNet`, its version for any size, or a stand-in."""

    def __call__(self, video: Tensor, scale: float, rows: int | None = None, /) -> Tensor:
        """(b, frames, 1, rows, columns) to more rows; see `IsoVEMNet.forward`."""


def enlarge_axially(net: VideoNet, tile: Tensor, scale: float, rows: int | None = None) -> Tensor:
    """Reconstruct a tile along z: the planes along y are the frames, z their rows.

    Args:
        net: Network.
        tile: Shape (z, y, x), in [0, 1].
        scale: Axial voxels to make of each section.
        rows: Sections wanted, see `IsoVEMNet.forward`.

    Returns:
        Shape (sections, y, x), not clamped.
    """
    frames = tile.transpose(0, 1)[None, :, None]  # (1, y, 1, z, x)
    return net(frames, scale, rows)[0, :, 0].transpose(0, 1)


def reconstruct_rotated(
    net: VideoNet,
    tile: Tensor,
    scale: float,
    rows: int | None = None,
    rotations: Sequence[int] = tuple(range(ROTATIONS)),
) -> tuple[Tensor, Tensor]:
    """Mean and uncertainty of the reconstructions of a tile in several orientations.

    Args:
        net: Network.
        tile: Shape (z, y, x), in [0, 1]; y and x may differ.
        scale: Axial voxels to make of each section.
        rows: Sections wanted, see `IsoVEMNet.forward`.
        rotations: Orientations to use; all eight as published.

    Returns:
        Mean and population standard deviation, shape (sections, y, x) each; the mean is not clamped.
    """
    results = [rotate_back(enlarge_axially(net, rotate(tile, i), scale, rows), i) for i in rotations]
    stack = torch.stack(results)
    return stack.mean(dim=0), stack.std(dim=0, correction=0)
