"""`quantise`: grey levels of values in [0, 1], as files hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 1 << 16
"""Voxels at once, which stay in the cache with what is made of them."""
WORD = 8
CLOSE = np.float32(6e-4)
"""Of a grey level: ties reach 5e-4 to either side, and float32 is less than 1e-4 off."""


def intensity_range_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Grey values that map to 0 and 1: the range of an integer type, (0, 1) for float32."""
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return float(info.min), float(info.max)
    return 0.0, 1.0


def quantise(
    values: NDArray[np.floating[Any]], dtype: np.dtype[Any], intensity_range: tuple[float, float] | None = None
) -> NDArray[Any]:
    """Values in [0, 1] in a dtype for a file: clipped, spread over the intensity range, rounded half to even."""
    low, high = intensity_range or intensity_range_of(dtype)
    grey = np.empty(values.shape, dtype)
    short = dtype == np.uint8 and values.dtype == np.float32 and 0 <= low < high <= 255
    for part, out in _parts(values, grey):
        (_bytes if short else _exact)(part, out, low, high)
    return grey


def _parts(values: NDArray[Any], grey: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The same voxels of both: a few at a time, or a section where those of one are not side by side in memory."""
    if values.flags.c_contiguous:
        values, grey, step = values.reshape(-1), grey.reshape(-1), PART
    else:
        step = max(1, PART * len(values) // values.size)
    for first in range(0, len(values), step):
        yield values[first : first + step], grey[first : first + step]


def _exact(values: NDArray[Any], out: NDArray[Any], low: float, high: float) -> None:
    """By the definition, in float64."""
    scaled = values.astype(np.float64)
    np.clip(scaled, 0, 1, out=scaled)
    scaled *= high - low
    scaled += low
    if np.issubdtype(out.dtype, np.integer):
        if high - low <= 255:
            np.round(scaled, 3, out=scaled)  # float32 puts ties of grey levels 1e-5 off; they round to even too
        np.rint(scaled, out=scaled)
    out[...] = scaled


def _bytes(values: NDArray[np.float32], out: NDArray[np.uint8], low: float, high: float) -> None:
    """The same in float32, where rounding from a little below and from a little above agree; the rest in float64."""
    scaled = np.clip(values, 0, 1)
    scaled *= np.float32(high - low)
    scaled += np.float32(low + 0.5) - CLOSE
    out[...] = scaled  # which cuts off what is behind the point
    scaled += 2 * CLOSE
    above = scaled.astype(np.uint8).reshape(-1)
    flat, made = values.reshape(-1), out.reshape(-1)
    whole = made.size // WORD * WORD
    words = np.flatnonzero(made[:whole].view(np.uint64) != above[:whole].view(np.uint64))
    if words.size:
        near = np.empty((words.size, WORD), np.uint8)
        _exact(flat[:whole].reshape(-1, WORD)[words], near, low, high)
        made[:whole].reshape(-1, WORD)[words] = near
    _exact(flat[whole:], made[whole:], low, high)
