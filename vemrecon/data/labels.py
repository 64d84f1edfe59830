"""Label volumes, read lazily: neuron ids, and masks of organelles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume import Edges, Region, VoxelSize, open_source
from vemrecon.volume.catalogue import HDF5, TIFF
from vemrecon.volume.hdf5 import open_dataset
from vemrecon.volume.reading import Reading
from vemrecon.volume.tiff import open_tiff


class Labels(Protocol):
    """A volume of labels; 0 is unlabelled or background."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x)."""

    def read(self, region: Region) -> NDArray[np.int64]:
        """Labels of a region."""


def open_labels(path: Path, dataset: str | None = None, *, table: bool = False) -> Labels:
    """Open a label volume.

    Args:
        path: HDF5, multi-page TIFF, `.npy`, or a folder of OME-Zarr, as boxes of remote labels are kept in.
        dataset: Inside an HDF5 file.
        table: Whether it is a file of FIB-25, with supervoxels and a table of neurons.

    Raises:
        DataError: If the file is missing, damaged, or of another kind.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if table:
        return NeuronLabels(path)
    if suffix in HDF5:
        return LabelArray(path, open_dataset(path, dataset))
    if suffix in TIFF:
        return LabelArray(path, open_tiff(path, None, Reading()).array)
    if suffix == ".npy":
        try:
            return LabelArray(path, np.load(path, mmap_mode="r"))
        except ValueError as error:
            raise DataError(f"{path}: not a .npy file, or truncated") from error
    if suffix == ".zarr":
        return LabelArray(path, _of_zarr(path))
    raise DataError(f"{path}: labels are read from HDF5, TIFF or .npy files, or OME-Zarr folders")


def _of_zarr(path: Path) -> Any:
    """The finest level."""
    import zarr

    try:
        return zarr.open_array(path / "0", mode="r")
    except Exception as error:  # zarr has no common base for what damaged metadata raise
        raise DataError(f"{path}: no OME-Zarr folder, or damaged ({error})") from error


def require_size(path: Path, dataset: str | None, size: VoxelSize) -> None:
    """Refuse labels whose file says voxels of another size than those that they label.

    Args:
        path: HDF5 or TIFF; other files say none.
        dataset: Inside an HDF5 file.
        size: Of the labelled volume.

    Raises:
        DataError: If an edge differs by more than 1 %.
    """
    if path.suffix.lower() not in (*HDF5, *TIFF):
        return
    found = open_source(path, dataset).edges
    if found.differ_from(Edges.of(size, "")):
        raise DataError(
            f"{path}: {found.said} says labels of voxels of {found}, but those of the volume are {size} (z, y, x); "
            f"labels must lie on its voxels: correct the attribute of the file or the card"
        )


class LabelArray:
    """Labels as they stand in a file. The largest unsigned 64-bit number means background, as in CREMI."""

    def __init__(self, path: Path, array: Any) -> None:
        if len(array.shape) != 3 or not (np.issubdtype(array.dtype, np.integer) or array.dtype == bool):
            raise DataError(f"{path}: labels are a 3D array of integers, not {array.dtype} of shape {array.shape}")
        self.path, self.array, self.shape = path, array, tuple(array.shape)

    def read(self, region: Region) -> NDArray[np.int64]:
        """Labels of a region.

        Raises:
            DataError: If the region lies outside, or the file is damaged there.
        """
        _check_inside(self.path, self.shape, region)
        try:
            found = np.asarray(self.array[region.slices])
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read at {region}: damaged or truncated") from error
        if found.dtype == np.uint64:
            found = np.where(found > np.iinfo(np.int64).max, 0, found)
        return found.astype(np.int64)


class NeuronLabels:
    """Neuron ids of a FIB-25 sample: supervoxels (`stack`) looked up in a table of bodies (`transforms`).

    Attributes:
        shape: (z, y, x).
        ids: Every neuron id of the table, rising; 0 means unlabelled.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack = open_dataset(path, "stack")
        pairs = np.asarray(open_dataset(path, "transforms"))
        if self.stack.ndim != 3 or pairs.ndim != 2 or pairs.shape[1] != 2:
            raise DataError(f"{path}: expected a 3D `stack` and two columns of `transforms`, the layout of FIB-25")
        self.shape: tuple[int, ...] = tuple(self.stack.shape)
        self.bodies = np.zeros(int(pairs[:, 0].max()) + 1, dtype=np.int64)
        self.bodies[pairs[:, 0]] = pairs[:, 1]
        self.ids: NDArray[np.int64] = np.unique(self.bodies)

    def read(self, region: Region) -> NDArray[np.int64]:
        """Neuron ids of a region.

        Raises:
            DataError: If the region lies outside, the file is damaged there, or it holds supervoxels that the table
                does not know.
        """
        _check_inside(self.path, self.shape, region)
        try:
            supervoxels: NDArray[Any] = self.stack[region.slices]
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read at {region}: damaged or truncated") from error
        if supervoxels.max() >= len(self.bodies):
            raise DataError(f"{self.path}: supervoxel {supervoxels.max()} is not in the table of bodies")
        return self.bodies[supervoxels]


def _check_inside(path: Path, shape: tuple[int, ...], region: Region) -> None:
    if not Region.whole(shape).contains(region):
        raise DataError(f"{path}: {region} lies outside the labels, which have the shape {shape}")
