"""Grey ranges: which values mean black and white, compared with the values that a volume holds.

The range of an integer type is the usual meaning of its values, but levels of 10, 12 and 14 bits are stored in types
of 16: every score then depends on a peak that no voxel could reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume.quantise import intensity_range_of
from vemrecon.volume.volume import Span, Volume

DEPTHS = (8, 10, 12, 14)
QUARTER = 0.25
"""Of the range of a type: where nearly all values lie within less, the type does not say what they mean."""
TAIL = 0.1  # percent of the voxels on either side, as hot and dead pixels, that do not count as what values fill
BINS = 1 << 16
OVERSHOOT = 1.25  # of white: how far networks that were trained for a range go beyond it
MOST_OUTSIDE = 0.01
MOST_OVERSHOOTING = 0.2
LEAST_REACH = 0.4  # of that of the truth, below which a reconstruction is stored in another range


@dataclass(frozen=True)
class Levels:
    """How often grey values occur: one by one for integers, in bins for floats."""

    low: float
    high: float
    first: float
    step: float
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, volume: Volume, enough: Any = None) -> Levels:
        """Of a whole volume, slab by slab; `enough` may end the reading when it has seen what it looks for."""
        dtype = volume.dtype
        if dtype.kind != "f":
            first, step, size = float(np.iinfo(dtype).min), 1.0, BINS if dtype.itemsize > 1 else 256
        else:
            ends = [_ends(volume.read_raw(slab)) for slab in volume.slabs()]
            first, top = min(low for low, _ in ends), max(high for _, high in ends)
            first, top = (first, top) if first <= top else (0.0, 0.0)
            step, size = (top - first) / (BINS - 1) or 1.0, BINS
        counts = np.zeros(size, np.int64)
        for slab in volume.slabs():
            voxels = volume.read_raw(slab).ravel()
            if dtype.kind == "f":
                voxels = np.rint((voxels[np.isfinite(voxels)].astype(np.float64) - first) / step)
            else:
                voxels = voxels.astype(np.int32) - int(first)
            counts += np.bincount(voxels.astype(np.int32), minlength=size)
            found = cls._made(first, step, counts)
            if enough is not None and enough(found):
                break
        return cls._made(first, step, counts)

    @classmethod
    def _made(cls, first: float, step: float, counts: NDArray[np.int64]) -> Levels:
        (there,) = np.nonzero(counts)
        ends = (first + step * float(there[0]), first + step * float(there[-1])) if there.size else (0.0, 0.0)
        return cls(*ends, first, step, counts)

    def percentile(self, percent: float, voxels: int | None = None) -> float:
        """The value below or at which so many of the voxels lie; of `voxels` ones where not all have been counted."""
        sums = np.cumsum(self.counts)
        total = int(sums[-1]) if voxels is None else voxels
        return self.first + self.step * int(np.searchsorted(sums, max(percent / 100 * total, 1)))

    def share_outside(self, span: Span) -> float:
        """Share of the voxels that lie outside of a range, by more than a rounding."""
        values = self.first + self.step * np.arange(len(self.counts))
        slack = 1e-3 * (span[1] - span[0])
        outside = self.counts[(values < span[0] - slack) | (values > span[1] + slack)].sum()
        return float(outside / max(1, self.counts.sum()))


def _ends(voxels: NDArray[Any]) -> Span:
    finite = voxels[np.isfinite(voxels)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)


@dataclass(frozen=True)
class RangeRule:
    """How a range is found in the content of a file: the smallest usual bit depth, or two percentiles."""

    kind: Literal["auto", "percentile"]
    low: float = 0.0
    high: float = 100.0

    def find(self, volume: Volume) -> Span:
        """The range for a volume, all of which is read."""
        levels = Levels.of(volume)
        if self.kind == "auto":
            found = _holding(volume.dtype, levels)
            if found is None and volume.dtype.kind == "f":
                raise DataError(
                    f"{volume.name}: values from {levels.low:g} to {levels.high:g} have no usual range; state one as "
                    f"LOW HIGH or percentile P Q"
                )
            return found or intensity_range_of(volume.dtype)
        ends = levels.percentile(self.low), levels.percentile(self.high)
        if not ends[0] < ends[1]:
            raise DataError(f"{volume.name}: percentiles {self.low:g} and {self.high:g} are the same grey value")
        return ends


def read_range(option: str, words: Sequence[Any]) -> Span | RangeRule:
    """A range as one says it: `LOW HIGH`, `auto`, or `percentile P Q`.

    Raises:
        ConfigError: If it is none of these.
    """
    said = f"{option} {' '.join(f'{word:g}' if isinstance(word, float) else str(word) for word in words)}"
    numbers = [word for word in words if isinstance(word, float)]
    if list(words) == ["auto"]:
        return RangeRule("auto")
    if words[0] == "percentile" and len(words) == 3 and len(numbers) == 2:
        if not 0 <= numbers[0] < numbers[1] <= 100:
            raise ConfigError(f"{said}: percentiles must rise, between 0 and 100")
        return RangeRule("percentile", *numbers)
    if len(words) == 2 and len(numbers) == 2:
        return numbers[0], numbers[1]
    raise ConfigError(f"{said}: must read LOW HIGH, such as 0 4095, or auto, or percentile P Q")


def _holding(dtype: np.dtype[Any], levels: Levels) -> Span | None:
    """The smallest usual range that holds the values but for hot pixels; None for that of the type."""
    low, high = levels.low, levels.high
    if dtype.kind == "f":
        return _holding_floats(levels)
    if dtype.itemsize == 1:
        return None
    bottom, top = levels.percentile(TAIL), levels.percentile(100 - TAIL)
    if high >= 2 ** DEPTHS[-1]:  # a few hot pixels do not make 16 bits of 12
        high = top
    if dtype.kind == "u":
        return next(((0.0, 2.0**bits - 1) for bits in DEPTHS if high < 2**bits), None)
    if low >= 0 or bottom >= 0:
        return next(((0.0, 2.0**bits - 1) for bits in (*DEPTHS, 15) if high < 2**bits), None)
    return next(((-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) for bits in DEPTHS
                 if bottom >= -(2 ** (bits - 1)) and high < 2 ** (bits - 1)), None)  # fmt: skip


def _holding_floats(levels: Levels) -> Span | None:
    """The usual range of float values; a few beyond [0, 1] overshoot. None where there is none, as for z-scores."""
    low, high = levels.low, levels.high
    if levels.share_outside((0.0, 1.0)) < MOST_OVERSHOOTING:
        return 0.0, 1.0
    if low < -0.5 and high <= OVERSHOOT:
        return -1.0, 1.0
    top = next((top for top in (2.0**bits - 1 for bits in (*DEPTHS, 16)) if high <= 1.001 * top), None)
    return (0.0, top) if top and low > -0.1 * top and high > 0.1 * top else None


def check_range(volume: Volume, option: str = "--intensity-range") -> tuple[str, ...]:
    """Compare the range of a volume with its content, where that decides numbers.

    A range that somebody has stated holds; how much lies outside is noted. That of a 16-bit type is refused where all
    values but 0.1 % on either side lie within a quarter of it, or where those of int16 are never negative: 0 would be
    mid-grey. 8 bits are never refused. 32-bit floats are taken for [0, 1], and refused where they go beyond.

    Args:
        volume: Read as far as needed.
        option: What sets its range.

    Returns:
        Notes for the user.

    Raises:
        DataError: With the likely range.
    """
    span, dtype = volume.span, volume.dtype
    if volume.stated:
        return _clipped(volume, span)
    if dtype.kind == "f":
        _check_floats(volume, option)
    elif dtype.itemsize > 1:
        _check_integers(volume, option)
    return ()


def _clipped(volume: Volume, span: Span) -> tuple[str, ...]:
    whole = intensity_range_of(volume.dtype)
    if volume.dtype.kind != "f" and span[0] <= whole[0] and span[1] >= whole[1]:
        return ()
    share = Levels.of(volume).share_outside(span)
    return (f"{share:.2g} of the voxels lie outside of {_text(span)} and are clipped",) if share else ()


def _check_floats(volume: Volume, option: str) -> None:
    ends = [_ends(volume.read_raw(slab)) for slab in volume.slabs()]
    low, high = min(a for a, _ in ends), max(b for _, b in ends)
    if low >= -1e-3 and high <= 1 + 1e-3:
        return
    likely = _holding_floats(Levels.of(volume))
    smaller = [top for top in (2.0**bits - 1 for bits in DEPTHS) if top < high <= OVERSHOOT * top]
    other = f", or {option} 0 {smaller[0]:g} if it overshoots" if smaller else ""
    raise DataError(
        f"{volume.name}: values from {low:g} to {high:g} lie outside of 0 to 1, which {volume.dtype} has by itself; "
        f"say which ones mean black and white: {option} {_words(likely)} is likely{other} (values outside are clipped)"
    )


def _check_integers(volume: Volume, option: str) -> None:
    voxels, whole = volume.whole.voxels, intensity_range_of(volume.dtype)
    quarter = QUARTER * (whole[1] - whole[0] + 1)

    def wide(levels: Levels) -> bool:
        """Whether what has been counted shows that the values fill more than a quarter, whatever comes."""
        counted = int(levels.counts.sum())
        low = levels.percentile(TAIL, voxels)
        high = levels.percentile(100 * (counted - TAIL / 100 * voxels) / voxels, voxels)
        return high - low >= quarter and low < (0 if whole[0] < 0 else np.inf)

    levels = Levels.of(volume, wide)
    if wide(levels):
        return
    low, high = levels.percentile(TAIL), levels.percentile(100 - TAIL)
    likely = _holding(volume.dtype, levels)
    if likely is None and high - low >= quarter:
        return
    share = (levels.high - levels.low) / (whole[1] - whole[0])
    raise DataError(
        f"{volume.name}: values from {levels.low:g} to {levels.high:g} fill {share:.1%} of {volume.dtype}; say "
        f"which ones mean black and white: {option} {_words(likely)} is likely; {option} {_text(whole)} if the "
        f"range of the type is meant"
    )


def check_same_range(volume: Volume, truth: Volume, option: str) -> tuple[str, ...]:
    """Compare a volume with the range that it has from another one, because it has the same type.

    Raises:
        DataError: If it fills a much smaller part of it than the other, or goes beyond it.
    """
    span = volume.span
    levels, others = Levels.of(volume), Levels.of(truth)
    share = levels.share_outside(span)
    reach = [one.percentile(100 - TAIL) - span[0] for one in (levels, others)]
    if share > MOST_OUTSIDE or reach[0] < LEAST_REACH * reach[1]:
        likely = _holding(volume.dtype, levels) or (
            None if volume.dtype.kind == "f" else intensity_range_of(volume.dtype)
        )
        raise DataError(
            f"{volume.name}: values from {levels.low:g} to {levels.high:g} are not in the range {_text(span)} of "
            f"{truth.name}; say which ones mean black and white: {option} {_words(likely)} is likely"
        )
    return (f"{share:.2g} of the voxels lie outside of {_text(span)} and are clipped",) if share else ()


def _words(likely: Span | None) -> str:
    """A range as its option takes it."""
    return _text(likely) if likely else f"percentile {TAIL:g} {100 - TAIL:g}"


def _text(span: Span) -> str:
    return f"{span[0]:g} {span[1]:g}"
