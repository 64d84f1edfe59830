"""Tiles restored plane by plane across their sections, by networks of two dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vemrecon.methods.base import Tile
from vemrecon.volume.planes import NORMALS

ORDERS = {"xz": (1, 0, 2), "yz": (2, 0, 1)}
"""Axes of a volume (z, y, x) in the order (plane, row, column)."""
LARGEST = 3 << 25
"""Voxels that tiles may become: 384 MiB in float32. Less would leave more than a fifth to margins in deep volumes."""
CACHED = 1 << 14
"""Pixels that a thread of a processor restores at once: with 64 channels, feature maps of 4 MiB stay in its cache."""
ON_DEVICE = 1 << 20
"""Likewise on other devices, which want much to do at once: 256 MiB for each map of 64 channels."""


def mean_of_planes(restore: Callable[[Tensor], Tensor], tile: Tile, planes: Sequence[str], enlarged: int = 1) -> Tensor:
    """Mean of what a network makes of the planes of each direction.

    A direction has the margins of the tile in its planes, but needs no planes in the margins: those stay zero, as
    nobody uses them (`Tile.kept`).

    Args:
        restore: Maps sections (b, 1, z, w) to (b, 1, rows, w).
        tile: What is observed.
        planes: Directions: `xz`, `yz` or both.
        enlarged: Pixels that the network works on for each observed one.

    Returns:
        Shape (1, 1, rows, y, x), float32.
    """
    volume = tile.observed[0, 0]
    made = volume.new_zeros(tile.grid.extent(volume.shape[0]), *volume.shape[1:], dtype=torch.float32)
    for plane in planes:
        order, kept = ORDERS[plane], tile.kept[NORMALS[plane] - 1]
        sections, results = volume.permute(order)[kept, None], made.permute(order)[kept]
        at_once = _at_once(volume.device, enlarged * sections[0].numel())
        for part, target in zip(sections.split(at_once), results.split(at_once), strict=True):
            target += restore(part).reshape(target.shape)
    return made.div_(len(planes))[None, None]


def _at_once(device: torch.device, pixels: int) -> int:
    """Planes of so many pixels."""
    most = CACHED * torch.get_num_threads() if device.type == "cpu" else ON_DEVICE
    return max(1, most // pixels)
