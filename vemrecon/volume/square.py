"""Square pixels: the coarser of y and x is interpolated to the finer edge, when it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume.volume import Array3D, Volume
from vemrecon.volume.voxels import VoxelSize


def with_square_pixels(volume: Volume) -> Volume:
    """A volume whose y and x edges are alike, over the same field of view; the same one where they were.

    Pixels of the finer edge that fit into the field of view are interpolated linearly, in the dtype of the volume;
    within half a pixel of the border they repeat the outermost one. The origin moves to the centre of the first pixel.

    Args:
        volume: Of known voxel size.
    """
    size = volume.require_voxel_size()
    if size.square:
        return volume
    axis = 1 if size.y > size.x else 2
    coarse, fine = list(size)[axis], min(size.y, size.x)
    part = volume.array if volume.shape == tuple(volume.array.shape) else Part(volume)
    array = _Finer(part, axis, fine / coarse)
    origin = list(volume.origin)
    origin[axis] = round(origin[axis] + (fine - coarse) / 2, 9)
    name = "zyx"[axis]
    note = (
        f"pixels of y {size.y:g} nm and x {size.x:g} nm were made square: {name} is interpolated, {volume.shape[axis]} "
        f"pixels become {array.shape[axis]}"
    )
    return replace(
        volume,
        array=array,
        voxel_size=VoxelSize(size.z, fine, fine),
        origin=(origin[0], origin[1], origin[2]),
        start=(0, 0, 0),
        extent=None,
        notes=(*volume.notes, note),
    )


class Part:
    """The voxels of a volume that is cut out of an array, as an array."""

    def __init__(self, volume: Volume) -> None:
        self.array, self.start, self.shape, self.dtype = volume.array, volume.start, volume.shape, volume.dtype

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        z, y, x = (
            slice(start + low, start + high)
            for start, n, one in zip(self.start, self.shape, index, strict=True)
            for low, high, _ in [one.indices(n)]
        )
        return np.asarray(self.array[z, y, x])


class _Finer:
    """An array with finer pixels along one axis."""

    def __init__(self, array: Array3D, axis: int, step: float) -> None:
        self.array, self.axis, self.step = array, axis, step
        count = int(array.shape[axis] / step + 1e-6)
        self.shape = tuple(count if n == axis else int(length) for n, length in enumerate(array.shape))
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        last = self.array.shape[self.axis] - 1
        wanted = np.arange(*index[self.axis].indices(self.shape[self.axis]))
        places = np.clip((wanted + 0.5) * self.step - 0.5, 0, last)
        below = np.floor(places).astype(int)
        above = np.minimum(below + 1, last)
        start, stop = (int(below.min()), int(above.max()) + 1) if wanted.size else (0, 0)
        part = [slice(start, stop) if n == self.axis else one for n, one in enumerate(index)]
        voxels = np.asarray(self.array[part[0], part[1], part[2]])
        shape = [1, 1, 1]
        shape[self.axis] = -1
        share = (places - below).reshape(shape)
        first, second = (np.take(voxels, at - start, axis=self.axis) for at in (below, above))
        mixed = first.astype(np.float64) * (1 - share) + second.astype(np.float64) * share
        return (np.rint(mixed) if self.dtype.kind in "iu" else mixed).astype(self.dtype)
