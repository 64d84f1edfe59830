"""Small volumes for the tests of the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from vemrecon.metrics.sections import SectionMetric
from vemrecon.metrics.tiles import PIECE, TILE, Readable, TilePair, tile_batches
from vemrecon.seeding import derive
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

ODD: Triple = (17, 33, 29)


class GreyVolume:
    """An array of grey levels that is read like a volume."""

    def __init__(self, grey: NDArray[np.uint8], voxel_size: VoxelSize | None = None) -> None:
        self.grey = grey
        self.voxel_size = voxel_size or VoxelSize(8, 8, 8)
        self.shape: Triple = Region.whole(grey.shape).shape

    def read(self, region: Region) -> NDArray[np.float32]:
        return self.grey[region.slices].astype(np.float32) / np.float32(255)


def textured(shape: Triple, seed: int = 0) -> NDArray[np.uint8]:
    """Waves and noise."""
    z, y, x = np.indices(shape)
    waves = 128 + 50 * np.sin(0.3 * z + 0.2 * y) + 40 * np.cos(0.25 * x - 0.1 * z)
    return np.clip(np.rint(waves + derive(seed, "textured").normal(0, 10, shape)), 0, 255).astype(np.uint8)


def noisy(grey: NDArray[np.uint8], sigma: float = 12, seed: int = 1) -> NDArray[np.uint8]:
    """The volume with Gaussian noise."""
    noise = derive(seed, "noisy").normal(0, sigma, grey.shape)
    return np.clip(np.rint(grey + noise), 0, 255).astype(np.uint8)


def tiles(
    truth: Readable,
    reconstruction: Readable,
    whole: Region,
    halo: int,
    *,
    size: Triple = TILE,
    piece: Triple = PIECE,
) -> Iterator[TilePair]:
    """The tiles of `tile_batches` one by one."""
    for batch in tile_batches(truth, reconstruction, whole, halo, size=size, piece=piece):
        yield from batch


def shown(
    metric: SectionMetric, a: NDArray[np.uint8], b: NDArray[np.uint8], halo: int, size: Triple = (48, 48, 48)
) -> SectionMetric:
    """The metric after it has seen two volumes in tiles of a size."""
    for tile in tiles(GreyVolume(a), GreyVolume(b), Region.whole(a.shape), halo, size=size, piece=(64, 64, 64)):
        metric.update(tile)
    return metric


def require_independence_of_tiles(
    make: Callable[[Sequence[Region]], SectionMetric], shape: Triple, cut: Triple, halo: int, size: Triple
) -> None:
    """Values of several scopes of a textured volume, and of it with noise, are the same for tiles of any size."""
    a = textured(shape)
    b = noisy(a)
    scopes = [Region.whole(shape), Region((0, 0, 0), cut), Region((1, 2, 3), shape)]
    once = shown(make(scopes), a, b, halo).compute()
    cut_up = shown(make(scopes), a, b, halo, size).compute()
    for expected, found in zip(once, cut_up, strict=True):
        for plane in expected:
            assert found[plane].numpy() == pytest.approx(expected[plane].numpy(), abs=1e-9)
