"""`Volume`: a lazily read grey-level volume that knows its voxel size and its intensity range."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.quantise import intensity_range_of
from vemrecon.volume.region import Region, Triple, triple
from vemrecon.volume.voxels import VoxelSize

GREY_DTYPES = ("uint8", "uint16", "int16", "float32")
SLAB_BYTES = 64 << 20
Origin = tuple[float, float, float]
Span = tuple[float, float]


class Array3D(Protocol):
    """What a reader hands over: anything with a shape and a dtype that gives numpy arrays for three slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along z, y, x."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel."""

    def __getitem__(self, index: tuple[slice, slice, slice], /) -> Any: ...


@dataclass(frozen=True)
class Volume:
    """A volume of grey levels, read on demand. Big volumes are never in memory as a whole.

    Attributes:
        array: Shape (z, y, x), one of uint8, uint16, int16, float32.
        voxel_size: In nm, or None where neither the file nor the user said it.
        name: For messages and tables.
        grid: Where the sections of an anisotropic volume lie; None if that is not known, and of an isotropic one.
        intensity_range: Grey values that become 0 and 1; by default from the dtype, never from the content.
        origin: Centre of voxel (0, 0, 0) in nm (z, y, x), so that volumes overlay; zeros where nobody said it.
        start: Where the volume begins in the array, in voxels.
        extent: Voxels along z, y and x; by default all that the array has from `start` on.
        stated: Whether somebody has stated the intensity range: float32 values outside are then clipped, not refused.
        notes: What was done to read it that a user should know.
        partial: Edges that are known where the voxel size is not.
    """

    array: Array3D
    voxel_size: VoxelSize | None
    name: str
    grid: SectionGrid | None = None
    intensity_range: tuple[float, float] | None = None
    origin: Origin = (0.0, 0.0, 0.0)
    start: Triple = (0, 0, 0)
    extent: Triple | None = None
    stated: bool = False
    notes: tuple[str, ...] = ()
    partial: Edges = UNKNOWN

    def __post_init__(self) -> None:
        shape = tuple(self.array.shape)
        if len(shape) != 3:
            what = "a 2D image" if len(shape) == 2 else f"an array of shape {shape}"
            raise DataError(f"{self.name}: {what}; a volume has the three axes (z, y, x)")
        if 0 in shape:
            raise DataError(f"{self.name}: empty volume of shape {shape}")
        if str(np.dtype(self.array.dtype)) not in GREY_DTYPES:
            raise DataError(
                f"{self.name}: dtype {self.array.dtype} is not a grey-level type; convert to one of "
                f"{', '.join(GREY_DTYPES)} (integers of 32 bit and more are usually labels)"
            )
        if self.extent is None:
            object.__setattr__(self, "extent", triple(shape))
        if self.intensity_range is None:
            object.__setattr__(self, "intensity_range", intensity_range_of(self.dtype))
        low, high = self.span
        if not low < high:
            raise DataError(f"{self.name}: intensity range ({low:g}, {high:g}) must rise")

    @property
    def span(self) -> Span:
        """Grey values that become 0 and 1."""
        assert self.intensity_range is not None
        return self.intensity_range

    @property
    def shape(self) -> Triple:
        """Number of voxels along z, y and x."""
        assert self.extent is not None
        return self.extent

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel in the file."""
        return np.dtype(self.array.dtype)

    @property
    def whole(self) -> Region:
        """The region of all voxels."""
        return Region.whole(self.shape)

    @property
    def fork_safe(self) -> bool:
        """Whether a process that this one forks can read it."""
        array: Any = self.array
        while (inside := getattr(array, "array", getattr(array, "inner", None))) is not None:
            array = inside
        return getattr(array, "fork_safe", True)

    def require_grid(self) -> SectionGrid:
        """Where its sections lie.

        Raises:
            DataError: If that is not known.
        """
        if self.grid is None:
            raise DataError(f"{self.name}: nobody said where its sections lie on the axis of an isotropic volume")
        return self.grid

    def require_voxel_size(self) -> VoxelSize:
        """The voxel size.

        Raises:
            DataError: If it is not known.
        """
        if self.voxel_size is None:
            raise DataError(f"{self.name}: {self.partial.lacking}")
        return self.voxel_size

    def stating(self, span: Span) -> Volume:
        """The volume with grey values that somebody states for black and white."""
        return replace(self, intensity_range=(float(span[0]), float(span[1])), stated=True)

    def with_voxels(self, voxels: NDArray[np.float32]) -> Volume:
        """The same volume with other voxels, in memory and in [0, 1]."""
        return replace(self, array=voxels, intensity_range=(0.0, 1.0), stated=False, start=(0, 0, 0), extent=None)

    def crop(self, region: Region) -> Volume:
        """The part of the volume inside a region, as a volume of its own."""
        if not self.whole.contains(region):
            raise DataError(f"{self.name}: region {region} lies outside the shape {self.shape}")
        return replace(
            self,
            start=region.shifted(self.start).start,
            extent=region.shape,
            origin=moved(self.origin, region.start, self.voxel_size),
        )

    def with_axis_first(self, axis: int) -> Volume:
        """The volume with axis `axis` and z exchanged; doing it twice gives the volume back."""
        if axis == 0:
            return self
        order = swapped(axis)
        size = self.voxel_size and VoxelSize(*(list(self.voxel_size)[i] for i in order))
        return replace(
            self,
            array=_Transposed(self.array, order),
            voxel_size=size,
            partial=self.partial.swapped(axis),
            origin=_floats([self.origin[i] for i in order]),
            start=triple([self.start[i] for i in order]),
            extent=triple([self.shape[i] for i in order]),
        )

    def read_raw(self, region: Region) -> NDArray[Any]:
        """Voxels of a region in the dtype of the file.

        Raises:
            DataError: If the region lies outside, or the file is damaged there.
        """
        if not self.whole.contains(region):
            raise DataError(f"{self.name}: region {region} lies outside the shape {self.shape}")
        try:
            voxels = np.asarray(self.array[region.shifted(self.start).slices])
        except DataError:
            raise
        except Exception as error:  # every reader has its own exceptions for damaged data
            raise DataError(
                f"{self.name}: cannot be read at {region}: damaged or truncated ({_first_line(error)})"
            ) from error
        if voxels.shape != region.shape:
            raise DataError(f"{self.name}: truncated: {region} gave {voxels.shape} voxels instead of {region.shape}")
        return voxels

    def read(self, region: Region) -> NDArray[np.float32]:
        """Voxels of a region as float32 in [0, 1], shape `region.shape`.

        Raises:
            DataError: If the data are damaged, not finite, or (float32) outside the intensity range.
        """
        low, high = self.span
        voxels = self.read_raw(region)
        if voxels.dtype == np.uint8 and (low, high) == (0.0, 255.0):
            return voxels.astype(np.float32) / np.float32(255)
        if voxels.dtype == np.float32:
            if not np.isfinite(voxels).all():
                raise DataError(f"{self.name}: NaN or infinite voxels in {region}; repair or mask them first")
            slack = 1e-3 * (high - low)
            if not self.stated and (voxels.min() < low - slack or voxels.max() > high + slack):
                raise DataError(
                    f"{self.name}: values {voxels.min():g} to {voxels.max():g} lie outside ({low:g}, {high:g}); "
                    f"give the values that mean black and white as --intensity-range LOW HIGH (others are clipped)"
                )
            if (low, high) == (0.0, 1.0):
                return np.clip(voxels, 0, 1)
        scaled = (voxels.astype(np.float64) - low) / (high - low)
        return np.clip(scaled, 0, 1).astype(np.float32)

    def slabs(self, sections: int | None = None) -> Iterator[Region]:
        """Regions of whole sections, thin enough to hold in memory, in z order.

        Raises:
            DataError: If not even one section fits.
        """
        plane = self.shape[1] * self.shape[2] * 4
        if plane > memory_bytes():
            raise DataError(
                f"{self.name}: one section of {self.shape[1]} x {self.shape[2]} voxels takes {plane / 2**30:,.0f} GiB, "
                f"and this machine has {memory_bytes() / 2**30:,.0f}; cut out a part of it"
            )
        return self.whole.blocks((sections or max(1, SLAB_BYTES // plane), *self.shape[1:]))


@cache
def memory_bytes() -> float:
    """Memory of this machine; without end where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # systems other than Unix
        return math.inf


def require_content(volume: Volume) -> None:
    """Refuse a volume that cannot be scored: constant, or (float32) with NaN anywhere.

    Integer volumes are read only until a second grey value is seen.

    Raises:
        DataError: With one line that says what is wrong.
    """
    first = None
    varied = False
    for slab in volume.slabs():
        voxels = volume.read(slab)
        first = voxels.flat[0] if first is None else first
        varied = varied or bool((voxels != first).any())
        if varied and volume.dtype != np.float32:
            return
    if not varied:
        raise DataError(f"{volume.name}: constant volume (every voxel is the same grey value); nothing to reconstruct")


def moved(origin: Sequence[float], by: Sequence[float], voxel_size: VoxelSize | None) -> Origin:
    """An origin some voxels farther; the same where the voxel size is not known."""
    if voxel_size is None:
        return _floats(origin)
    there = [o + n * edge for o, n, edge in zip(origin, by, voxel_size, strict=True)]
    return _floats([round(o, 9) for o in there])  # there and back is no distance


def _floats(values: Sequence[float]) -> Origin:
    z, y, x = (float(v) for v in values)
    return z, y, x


def swapped(axis: int) -> Triple:
    """Order of axes that exchanges z with another axis."""
    order = [0, 1, 2]
    order[0], order[axis] = order[axis], order[0]
    return triple(order)


class _Transposed:
    """An array with its axes exchanged, still read on demand."""

    def __init__(self, array: Array3D, order: Sequence[int]) -> None:
        self.inner, self.order = array, tuple(order)
        self.shape = tuple(array.shape[i] for i in order)
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        z, y, x = (index[self.order.index(i)] for i in range(3))
        return np.transpose(np.asarray(self.inner[z, y, x]), self.order)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
