"""Grey values of a TIFF page, whatever its photometric interpretation: black is the lowest.

Source: TIFF 6.0, tag PhotometricInterpretation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError

MINISWHITE, MINISBLACK, RGB, PALETTE = range(4)


def page_photometric(page: Any) -> str:
    """What the grey levels of a page mean; empty where black is the lowest, as usual."""
    return "min-is-white" if page.keyframe.photometric == MINISWHITE else ""


def grey_page(name: str, page: Any) -> NDArray[Any]:
    """Grey values of a page; of one in colour (several samples a pixel) all of them, for the caller to judge.

    Raises:
        DataError: If they cannot be known.
    """
    key = page.keyframe
    pixels: NDArray[Any] = page.asarray()
    if key.photometric in (MINISBLACK, RGB) or key.samplesperpixel != 1:
        return pixels
    if key.photometric == MINISWHITE:
        return turned(name, pixels, key.bitspersample)
    if key.photometric == PALETTE:
        return through_palette(name, pixels, _eight_bits(np.asarray(key.colormap)))
    raise DataError(f"{name}: a page of photometric {getattr(key.photometric, 'name', key.photometric)} is not grey")


def turned(name: str, pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Grey levels of which the lowest was white.

    Raises:
        DataError: If they are not unsigned integers, of which nobody could say what is white.
    """
    if pixels.dtype.kind != "u":
        raise DataError(f"{name}: min-is-white of {pixels.dtype} has no highest grey level; convert it first")
    return np.asarray((2**bits - 1) - pixels, dtype=pixels.dtype)


def through_palette(name: str, pixels: NDArray[Any], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels of a palette image.

    Args:
        name: For messages.
        pixels: Indices.
        palette: Shape (3, colours).

    Raises:
        DataError: If a colour that is used is not grey.
    """
    used = np.unique(pixels)
    if used.size and used[-1] >= palette.shape[1]:
        raise DataError(f"{name}: damaged palette image (index {used[-1]} of {palette.shape[1]} colours)")
    if (palette[:, used] != palette[0, used]).any():
        raise DataError(f"{name}: a palette image in colour; convert it to grey first")
    return palette[0][pixels]


def _eight_bits(colormap: NDArray[Any]) -> NDArray[np.uint8]:
    """TIFF palettes have 16 bits, of which writers use the upper 8, or both alike."""
    return np.asarray(colormap >> 8, dtype=np.uint8)
