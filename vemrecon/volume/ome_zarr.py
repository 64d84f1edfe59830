"""zarr volumes: read OME-Zarr 0.4 and 0.5 and plain arrays of format 2 and 3, create OME-Zarr 0.5.

Source: OME-NGFF specification 0.5, section "multiscales" metadata.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.errors import DataError, unknown
from vemrecon.files import output_error
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.region import Triple
from vemrecon.volume.volume import Origin, Volume, quantise
from vemrecon.volume.voxels import VoxelSize

NM_PER_UNIT = {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6, "angstrom": 0.1}
CHUNK = 64


def open_zarr(path: Path, dataset: str | None = None) -> Volume:
    """Open a zarr array, an OME-Zarr image (its finest level), or an array of a group.

    Raises:
        DataError: If the folder holds no zarr array, the array is no volume, or chunks are missing.
    """
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except Exception as error:  # zarr has no common base for what damaged metadata raise
        raise DataError(f"{path}: not a zarr array or group, or damaged") from error
    size: VoxelSize | None = None
    origin: Origin = (0.0, 0.0, 0.0)
    grid: SectionGrid | None = None
    axes: list[str] | None = None
    if isinstance(node, zarr.Group):
        attributes: dict[str, Any] = dict(node.attrs)
        image = attributes.get("ome", attributes)
        multiscales = image.get("multiscales") if isinstance(image, Mapping) else None
        stored = attributes.get("vemrecon", {}).get("grid")
        grid = SectionGrid.from_dict(stored) if isinstance(stored, Mapping) else None
        if multiscales and dataset is None:
            dataset, size, origin, axes = _first_level(path, multiscales[0])
        node = _array_of(path, node, dataset)
    array: Any = node
    if axes is not None and len(axes) != 3:
        array = _Spatial(path, array, axes)
    if size is None:
        size, origin = _of_plain(dict(node.attrs))
    _require_complete(path, node)
    return Volume(array, size, path.name, grid=grid, origin=origin)


def old_grid(path: Path, scale: float | None) -> SectionGrid | None:
    """The grid of a file of an earlier version, which names its kind alone; None if sections were not kept."""
    import zarr

    node = zarr.open(path, mode="r")
    attributes: dict[str, Any] = dict(node.attrs) if isinstance(node, zarr.Group) else {}
    word = attributes.get("vemrecon", {}).get("grid")
    return SectionGrid.of_kind(word, scale) if word == "aligned" and scale and scale > 1 else None


def _array_of(path: Path, group: Any, dataset: str | None) -> Any:
    import zarr

    try:
        arrays = {name: item for name, item in group.members(max_depth=None) if isinstance(item, zarr.Array)}
    except Exception as error:  # zarr has no common base for what damaged metadata raise
        raise DataError(f"{path}: damaged zarr metadata ({error})") from error
    if dataset is not None:
        if dataset.strip("/") not in arrays:
            raise DataError(f"{path}: {unknown('array', dataset, arrays)}")
        return arrays[dataset.strip("/")]
    named = [name for name in ("raw", "volumes/raw") if name in arrays]
    names = named or [name for name, array in arrays.items() if array.ndim == 3]
    if len(names) != 1 and not named:
        raise DataError(f"{path}: {len(names)} arrays are 3D; say which one ({', '.join(sorted(arrays)) or 'none'})")
    return arrays[names[0]]


def _first_level(path: Path, image: Mapping[str, Any]) -> tuple[str, VoxelSize | None, Origin, list[str]]:
    """Path, voxel size, origin and axis names of the finest level of a multiscale image."""
    try:
        axes = [a["name"] if isinstance(a, Mapping) else str(a) for a in image["axes"]]
        level = image["datasets"][0]
        units = [NM_PER_UNIT.get(a.get("unit", "")) if isinstance(a, Mapping) else None for a in image["axes"]]
        scales, places = [1.0] * len(axes), [0.0] * len(axes)
        for owner in (level, image):  # the transformation of the whole image follows that of the level
            for step in owner.get("coordinateTransformations", []):
                if step.get("type") == "scale":
                    scales = [a * b for a, b in zip(scales, step["scale"], strict=True)]
                    places = [a * b for a, b in zip(places, step["scale"], strict=True)]
                if step.get("type") == "translation":
                    places = [a + float(b) for a, b in zip(places, step["translation"], strict=True)]
        spatial = {n: (s, p, u) for n, s, p, u in zip(axes, scales, places, units, strict=True) if n in "zyx"}
        if list(spatial) != ["z", "y", "x"]:
            raise DataError(f"{path}: axes {axes}; the spatial axes must be z, y, x in this order")
        if any(u is None for _, _, u in spatial.values()):
            return str(level["path"]), None, (0.0, 0.0, 0.0), axes
        z, y, x = (p * (u or 0) for _, p, u in spatial.values())
        return str(level["path"]), VoxelSize(*(s * (u or 0) for s, _, u in spatial.values())), (z, y, x), axes
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged OME-Zarr metadata ({error!r})") from error


def _of_plain(attributes: Mapping[str, Any]) -> tuple[VoxelSize | None, Origin]:
    """Voxel size and origin, (z, y, x) in nm, as in the HDF5 layout of CREMI."""
    resolution, offset = (attributes.get(name) for name in ("resolution", "offset"))
    size = VoxelSize(*resolution) if isinstance(resolution, list | tuple) and len(resolution) == 3 else None
    z, y, x = map(float, offset) if isinstance(offset, list | tuple) and len(offset) == 3 else (0.0, 0.0, 0.0)
    return size, (z, y, x)


def _require_complete(path: Path, array: Any) -> None:
    """Refuse arrays with missing chunks: they read as silent black."""
    stored = array.nchunks_initialized
    if stored < array.nchunks:
        raise DataError(
            f"{path}: {array.nchunks - stored} of {array.nchunks} chunks are missing (truncated copy?); "
            f"if they are meant to be empty, rewrite the array with empty chunks"
        )


class _Spatial:
    """The (z, y, x) part of an array with further axes of length one."""

    def __init__(self, path: Path, array: Any, axes: list[str]) -> None:
        extra = [n for n, name in zip(array.shape, axes, strict=True) if name not in "zyx"]
        if any(n != 1 for n in extra):
            raise DataError(f"{path}: axes {axes} of shape {array.shape}; only one time point and channel can be read")
        self.array, self.lead = array, len(extra)
        self.shape, self.dtype = array.shape[self.lead :], array.dtype

    def __getitem__(self, index: tuple[slice, slice, slice]) -> Any:
        return self.array[(0,) * self.lead + index]


def create_zarr(
    path: Path,
    shape: Triple,
    dtype: np.dtype[Any] | str,
    voxel_size: VoxelSize | None,
    *,
    chunks: Triple | None = None,
    grid: SectionGrid | None = None,
    origin: Origin = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any] | None = None,
) -> Any:
    """Create an OME-Zarr 0.5 image with one level and give its zarr array, to be filled block by block.

    Args:
        path: Folder that does not exist yet.
        shape: (z, y, x).
        dtype: Of the voxels.
        voxel_size: In nm; None is written as one unit-less voxel.
        chunks: (z, y, x); whoever writes in parallel must give each chunk one writer.
        grid: Stored so that a reader registers the sections rightly.
        origin: In nm; a translation, left out where the voxel size is not known.
        attributes: Further facts, kept under the key `vemrecon`.

    Raises:
        OSError: If the folder cannot be written.
    """
    import zarr

    axes = [{"name": n, "type": "space"} | ({"unit": "nanometer"} if voxel_size else {}) for n in "zyx"]
    edges = list(voxel_size or (1.0, 1.0, 1.0))
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": edges}]
    if voxel_size and any(origin):
        transformations.append({"type": "translation", "translation": list(origin)})
    image = {
        "name": path.stem,
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": transformations}],
    }
    group = zarr.create_group(
        path,
        zarr_format=3,
        attributes={
            "ome": {"version": "0.5", "multiscales": [image]},
            "vemrecon": ({"grid": grid.as_dict()} if grid else {}) | dict(attributes or {}),
        },
    )
    return group.create_array(
        "0",
        shape=shape,
        chunks=chunks or tuple(min(CHUNK, n) for n in shape),
        dtype=np.dtype(dtype),
        dimension_names=["z", "y", "x"],
        config={"write_empty_chunks": True},  # a missing chunk then always means a damaged copy
    )


def copy_to_zarr(
    path: Path, volume: Volume, dtype: np.dtype[Any] | str, intensity_range: tuple[float, float] | None = None
) -> None:
    """Write a volume as OME-Zarr 0.5, slab by slab, under a temporary name until it is complete.

    Raises:
        OutputError: If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        depth = min(CHUNK, volume.shape[0])
        plane = volume.shape[1] * volume.shape[2] * 4
        depth = max(1, min(depth, (128 << 20) // plane))
        chunks = (depth, min(CHUNK, volume.shape[1]), min(CHUNK, volume.shape[2]))
        array = create_zarr(
            temporary, volume.shape, dtype, volume.voxel_size, chunks=chunks, grid=volume.grid, origin=volume.origin
        )
        for slab in volume.slabs(depth):
            array[slab.slices] = quantise(volume.read(slab), np.dtype(dtype), intensity_range)
        temporary.rename(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
