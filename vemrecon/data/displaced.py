"""Sections that lie displaced against their neighbours: a jump in the alignment of a stack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume import Region, Volume

WINDOW = 512  # pixels on a side, in the middle of the sections
LEAST = 2  # pixels; smaller shifts are tissue that runs obliquely
LEAST_GAIN = 0.1  # of the correlation: a shift that does not make sections more alike is none
SMOOTH = 2.0  # pixels; what is finer differs from section to section, and only adds noise


def displaced_sections(
    volume: Volume, progress: Callable[[float], None] = lambda share: None
) -> dict[int, tuple[int, int]]:
    """Sections that are shifted against the one before, with (y, x) in pixels; constant sections are passed over.

    Shifts are the peak of the phase correlation of the middle of the sections, taken for true where they make the two
    clearly more alike. The usual shift of the stack, as of tissue that runs obliquely, is subtracted.

    Args:
        volume: Read section by section.
        progress: Told the finished share.
    """
    shifts: dict[int, tuple[NDArray[np.float64], float]] = {}
    before: NDArray[np.float64] | None = None
    for z in range(volume.shape[0]):
        section = _middle(volume, z)
        progress((z + 1) / volume.shape[0])
        if not np.isfinite(section).all() or np.ptp(section) == 0:
            continue
        if before is not None:
            shifts[z] = shift_between(before, section)
        before = section
    if not shifts:
        return {}
    usual = np.median([shift for shift, _ in shifts.values()], axis=0)
    found = {z: np.rint(shift - usual).astype(int) for z, (shift, gain) in shifts.items() if gain >= LEAST_GAIN}
    return {z: (int(shift[0]), int(shift[1])) for z, shift in found.items() if np.abs(shift).max() >= LEAST}


def _middle(volume: Volume, z: int) -> NDArray[np.float64]:
    sides = [min(WINDOW, n) for n in volume.shape[1:]]
    y, x = ((n - side) // 2 for n, side in zip(volume.shape[1:], sides, strict=True))
    region = Region((z, y, x), (z + 1, y + sides[0], x + sides[1]))
    return volume.read_raw(region)[0].astype(np.float64)


def shift_between(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """How many pixels (y, x) the second image is shifted against the first, and by how much that makes them more alike.

    Source: C. D. Kuglin and D. C. Hines, The phase correlation image alignment method, 1975.
    """
    window = np.outer(np.hanning(first.shape[0]), np.hanning(first.shape[1]))
    spectra = [np.fft.rfft2((image - image.mean()) * window) for image in (first, second)]
    cross = spectra[1] * np.conj(spectra[0])
    frequencies = np.fft.fftfreq(first.shape[0])[:, None] ** 2 + np.fft.rfftfreq(first.shape[1]) ** 2
    smooth = np.exp(-2 * (np.pi * SMOOTH) ** 2 * frequencies)
    peak = np.fft.irfft2(smooth * cross / np.maximum(np.abs(cross), 1e-12), s=first.shape)
    at = np.unravel_index(int(np.argmax(peak)), peak.shape)
    y, x = (int(n) if n <= side // 2 else int(n) - side for n, side in zip(at, first.shape, strict=True))
    return np.array([y, x], dtype=np.float64), _alike(first, second, y, x) - _alike(first, second, 0, 0)


def _alike(first: NDArray[np.float64], second: NDArray[np.float64], y: int, x: int) -> float:
    """Correlation of what the two have in common when the second is moved back by a shift."""
    height, width = first.shape
    one = first[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    other = second[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]
    if one.size < first.size // 4 or not one.std() or not other.std():
        return -1.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
