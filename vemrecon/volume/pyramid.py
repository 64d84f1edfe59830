"""Coarser levels of an image: means of 2 x 2 x 2 voxels, so that viewers need not read all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume.region import Triple, triple

COARSEST = 256  # voxels; an image whose sides are no longer needs no coarser level
CHUNK = 64  # voxels that chunks should have along an edge
LARGEST_CHUNK = 128
WIDER = {"u1": np.int16, "i1": np.int16, "u2": np.int32, "i2": np.int32, "u4": np.int64, "i4": np.int64}
"""Types that hold the sum of eight voxels, by the type of these."""


@dataclass(frozen=True)
class Level:
    """How one level is stored.

    Attributes:
        shape: (z, y, x).
        chunk: Voxels that can be read by themselves.
        shard: Voxels of a file: a whole number of chunks.
    """

    shape: Triple
    chunk: Triple
    shard: Triple

    @classmethod
    def of(cls, shape: Triple, file: Sequence[int]) -> Level:
        """A level with files of about some voxels along each axis."""
        edges = [shard_and_chunk(n, side) for n, side in zip(shape, file, strict=True)]
        return cls(shape, triple([chunk for _, chunk in edges]), triple([shard for shard, _ in edges]))


def shard_and_chunk(length: int, side: int) -> tuple[int, int]:
    """Edges of shards and chunks along an axis; a shard is a whole number of chunks.

    >>> shard_and_chunk(1000, 256), shard_and_chunk(90, 256), shard_and_chunk(200, 256), shard_and_chunk(1000, 350)
    ((256, 64), (90, 90), (256, 64), (350, 70))
    """
    if side < length:
        edges = [n for n in range(1, min(side, LARGEST_CHUNK) + 1) if side % n == 0] + [side]
        return side, min(edges, key=lambda n: abs(math.log(n / CHUNK)))
    chunk = length if length <= LARGEST_CHUNK else CHUNK
    return -(-length // chunk) * chunk, chunk


def halved_shape(shape: Sequence[int], times: int = 1) -> Triple:
    """Voxels of a coarser level; an odd last one stands alone."""
    return triple([-(-n // 2**times) for n in shape])


def level_count(shape: Sequence[int]) -> int:
    """Levels until no side is longer than `COARSEST`.

    >>> level_count((100, 200, 256)), level_count((100, 257, 256)), level_count((64, 1024, 1025))
    (1, 2, 4)
    """
    return 1 + max(0, math.ceil(math.log2(max(shape) / COARSEST)))


def halved(voxels: NDArray[Any]) -> NDArray[Any]:
    """Means of 2 x 2 x 2 voxels in the dtype of the input; integers are rounded half to even.

    At an odd end the last voxels are the means of themselves.

    >>> halved(np.arange(12, dtype=np.uint8).reshape(1, 3, 4)).tolist()
    [[[2, 4], [8, 10]]]
    """
    made = np.empty(halved_shape(voxels.shape), voxels.dtype)
    for z in range(len(made)):
        total = _summed(voxels[2 * z : 2 * z + 2].astype(WIDER.get(voxels.dtype.str[1:], np.float32)))[0]
        made[z] = total / 8 if voxels.dtype.kind == "f" else (total + 3 + ((total >> 3) & 1)) >> 3
    return made


def _summed(voxels: NDArray[Any]) -> NDArray[Any]:
    for axis in range(3):
        if voxels.shape[axis] % 2:
            last = voxels.take([-1], axis)
            voxels = np.concatenate([voxels, last], axis)
        even: list[slice] = [slice(None)] * 3
        odd: list[slice] = [slice(None)] * 3
        even[axis], odd[axis] = slice(0, None, 2), slice(1, None, 2)
        voxels = voxels[tuple(even)] + voxels[tuple(odd)]
    return voxels
