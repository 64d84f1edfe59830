"""`TilePair`: a small piece of two volumes in 8-bit grey levels, with the margin that windows reach into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

TILE: Triple = (48, 48, 48)  # about 4 MB per float64 map: the windows run inside the cache
PIECE: Triple = (96, 384, 384)  # what is read at once; a multiple of TILE, about 70 MB as float32


class Readable(Protocol):
    """A volume as the metrics see it: a shape, a voxel size and a way to read a region of it."""

    @property
    def shape(self) -> Triple:
        """Number of voxels along z, y and x."""
        ...

    @property
    def voxel_size(self) -> VoxelSize | None:
        """Edge lengths of a voxel in nanometres, None if unknown; only spectra need them."""
        ...

    def read(self, region: Region) -> NDArray[np.float32]:
        """Intensities of a region, shape `region.shape`, float32 in [0, 1]."""
        ...


@dataclass(frozen=True)
class TilePair:
    """A piece of truth and reconstruction with halo."""

    a: Tensor
    """Truth, uint8, shape `region.shape`."""
    b: Tensor
    """Reconstruction, uint8, shape `region.shape`."""
    region: Region
    """Where the voxels of `a` and `b` lie, halo included."""
    core: Region
    """Window centres that this tile answers for; the cores of all tiles cover the scored volume once."""


def grey_levels(intensities: NDArray[np.float32], name: str = "volume") -> Tensor:
    """Intensities in [0, 1] as 8-bit grey levels: times 255, rounded half to even, clipped to 0..255.

    Raises:
        DataError: If a value is NaN or infinite.

    Source: metrics.md, section 1.

    >>> grey_levels(np.array([-0.1, 0.5, 1.2], np.float32)).tolist()
    [0, 128, 255]
    """
    levels = torch.tensor(np.asarray(intensities, dtype=np.float32))
    if levels.numel() and not all(bool(torch.isfinite(v)) for v in torch.aminmax(levels)):
        raise DataError(f"the {name} holds NaN or infinite values and cannot be scored")
    return levels.mul_(255).clamp_(0, 255).round_().to(torch.uint8)


def read_pair(truth: Readable, reconstruction: Readable, region: Region) -> tuple[Tensor, Tensor]:
    """The same region of both volumes as 8-bit grey levels."""
    a = grey_levels(truth.read(region), "truth")
    b = grey_levels(reconstruction.read(region), "reconstruction")
    for found in (a, b):
        if tuple(found.shape) != region.shape:
            raise DataError(f"asked for a region of shape {region.shape} and got {tuple(found.shape)}")
    return a, b


def tile_batches(
    truth: Readable,
    reconstruction: Readable,
    whole: Region,
    halo: int,
    *,
    size: Triple = TILE,
    piece: Triple = PIECE,
) -> Iterator[list[TilePair]]:
    """Cut a region of two volumes into tiles, reading one piece at a time and giving all its tiles at once.

    Args:
        truth: Reference volume.
        reconstruction: Volume of the same shape.
        whole: Scored region; the halo is cut at its edges.
        halo: Margin around the core, in voxels.
        size: Largest core of a tile.
        piece: Largest core of what is read from the volumes at once.
    """
    for outer in whole.blocks(piece):
        around = outer.expanded((halo,) * 3, whole)
        a, b = read_pair(truth, reconstruction, around)
        batch = []
        for core in outer.blocks(size):
            region = core.expanded((halo,) * 3, whole)
            inner = region.relative_to(around.start).slices
            batch.append(TilePair(a[inner], b[inner], region, core))
        yield batch
