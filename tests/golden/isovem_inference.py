"""The published inference of IsoVEM on whole volumes in memory: overlapping tiles, each in eight orientations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from vemrecon.methods.eightfold import ALL, rotate, rotate_back
from vemrecon.methods.isovem.fusion import OVERLAP, Shape, fuse, tile_starts
from vemrecon.methods.isovem.inpainting import VideoNet


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
    rotations: Sequence[int] = ALL,
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


@torch.no_grad()
def reconstruct_volume(
    net: VideoNet, volume: Tensor, scale: float, tile: Shape = (16, 128, 128), overlap: int = OVERLAP
) -> tuple[Tensor, Tensor]:
    """Reconstruct a volume that fits in memory, tile by tile, in eight orientations.

    Args:
        net: Network; sizes that it cannot take need `reconstruct_any_size`.
        volume: Shape (z, y, x), in [0, 1].
        scale: Axial voxels to make of each section.
        tile: In observed voxels; cut to the volume.
        overlap: In observed voxels.

    Returns:
        Mean and uncertainty, shape (int(z * scale), y, x) each, not clamped.
    """
    z, y, x = volume.shape
    whole = (z, y, x)
    starts = [tile_starts(n, size, overlap) for n, size in zip(whole, tile, strict=True)]
    means, deviations = [], []
    for origin in itertools.product(*starts):
        region = tuple(slice(at, at + size) for at, size in zip(origin, tile, strict=True))
        mean, deviation = reconstruct_rotated(net, volume[region], scale)
        means.append(mean)
        deviations.append(deviation)
    grid = (len(starts[0]), len(starts[1]), len(starts[2]))
    return fuse(means, grid, whole, scale, overlap), fuse(deviations, grid, whole, scale, overlap)
