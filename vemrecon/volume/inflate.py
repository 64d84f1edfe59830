"""Voxels that lie in one compressed piece: they can only be read as a whole, into memory."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError

MOST_BYTES = 8 << 30
NOTE = "compressed in one piece: all of it is read into memory"


def require_fits(path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Bytes of an array that has to be in memory as a whole.

    Raises:
        DataError: If they are too many, before anything is read or allocated.
    """
    count = math.prod(int(n) for n in shape) * dtype.itemsize
    if count > MOST_BYTES:
        raise DataError(
            f"{path}: {count / 2**30:.0f} GiB compressed in one piece would have to be in memory as a whole; "
            f"decompress it first, or save it as .zarr or .h5"
        )
    return count


def inflated(path: Path, stream: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array in C order that a compressed stream begins with.

    Raises:
        DataError: If it is too large, damaged, or ends before.
    """
    count = require_fits(path, shape, dtype)
    try:
        data = stream.read(count)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged ({error})") from error
    if len(data) < count:
        raise DataError(f"{path}: truncated: {len(data)} bytes of voxels where its header says {count}")
    return np.frombuffer(data, dtype).reshape(shape)


def mapped(path: Path, offset: int, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array in C order that lies in a file from a byte on, as a memory map.

    Raises:
        DataError: If the file ends before.
    """
    count, there = math.prod(int(n) for n in shape) * dtype.itemsize, path.stat().st_size - offset
    if there < count or offset < 0:
        raise DataError(f"{path}: truncated: {max(0, there)} bytes of voxels where its header says {count}")
    if count == 0:
        return np.empty(tuple(shape), dtype)
    return np.memmap(path, dtype, "r", offset, tuple(shape))
