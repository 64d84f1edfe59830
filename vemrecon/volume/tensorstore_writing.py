"""Writing with tensorstore: voxels of whole files, so that each is written once, and errors as the system has them."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume.quantise import quantise
from vemrecon.volume.region import Region, Triple, triple
from vemrecon.volume.tensorstores import reason_of
from vemrecon.volume.volume import Span, Volume

HELD_BYTES = 128 << 20  # voxels in the type of the file that are put together before they are written
PART_VOXELS = 16 << 20  # that are read for them at once
PART_SECTIONS = 64  # as thick as chunks of what is read usually are
FULL = ("no space left", "disk quota", "resource_exhausted")
CONTEXT = {"file_io_sync": False}
"""Of a folder that takes its name when it is complete."""


def whole_files(
    volume: Volume, edges: Triple, dtype: np.dtype[Any], span: Span | None
) -> Iterator[tuple[Region, NDArray[Any]]]:
    """Blocks of a volume that are rows of whole files, as many as may be held, and their voxels for the file.

    Args:
        volume: Read in [0, 1], in parts.
        edges: Of the voxels of one file (z, y, x).
        dtype: Of the voxels in the file.
        span: Grey values that 0 and 1 become; by default the range of the type.
    """
    for block in volume.whole.blocks(_block(volume.shape, edges, dtype.itemsize)):
        voxels = np.empty(block.shape, dtype)
        for part in _parts(block):
            voxels[part.relative_to(block.start).slices] = quantise(volume.read(part), dtype, span)
        yield block, voxels


def written(ask: Iterable[Callable[[], Any]]) -> list[Any]:
    """Start what is to be done, and wait until all of it has ended, well or not; what it gives.

    Nothing is at work any more when an error is raised, so that what was begun can be removed.

    Raises:
        OSError: If it cannot be written.
    """
    futures = [one() for one in ask]
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    if not errors:
        return [future.result() for future in futures]
    reason = reason_of(errors[0])
    if any(word in reason.lower() for word in FULL):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from errors[0]
    raise OSError(errno.EIO, reason) from errors[0]


def _block(shape: Sequence[int], edges: Triple, itemsize: int) -> Triple:
    """Voxels of a block: as many whole files along x, and then y, as may be held."""
    block = [min(edge, n) for edge, n in zip(edges, shape, strict=True)]
    for axis in (2, 1):
        many = max(1, HELD_BYTES // (math.prod(block) * itemsize))
        block[axis] = min(many * edges[axis], shape[axis])
    return triple(block)


def _parts(block: Region) -> Iterator[Region]:
    """Parts of a block that are read at once."""
    depth = min(PART_SECTIONS, block.shape[0])
    rows = max(1, PART_VOXELS // (depth * block.shape[2]))
    return block.blocks((depth, rows, block.shape[2]))
