"""zarr volumes: read OME-Zarr 0.4 and 0.5 and plain arrays of format 2 and 3, create OME-Zarr.

Source: OME-NGFF specification 0.5, section "multiscales" metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vemrecon.errors import DataError, unknown
from vemrecon.volume.attributes import Place, meant_for, place_of, position
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.layout import Layout, dtype_notes, in_order, layout_of, viewed
from vemrecon.volume.made import KEY, Made, recall
from vemrecon.volume.ngff import Level as NamedLevel
from vemrecon.volume.ngff import image_of, level_of, version_of
from vemrecon.volume.pyramid import Level
from vemrecon.volume.quantise import quantise
from vemrecon.volume.reading import Reading
from vemrecon.volume.region import Triple, triple
from vemrecon.volume.source import Source
from vemrecon.volume.stored import zarr_stored
from vemrecon.volume.unfinished import unfinished_folder
from vemrecon.volume.volume import Origin, Span, Volume
from vemrecon.volume.voxels import VoxelSize

CHUNK, SHARD = 64, 1024
Version = Literal["0.5", "0.4"]
"""Of OME-Zarr, that are written."""


def open_zarr(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a zarr array, an OME-Zarr image (its finest level unless one is named), or an array of a group.

    Raises:
        DataError: If the folder holds no zarr array, or the array is no volume.
    """
    import zarr

    node = _opened(path)
    top: dict[str, Any] = dict(node.attrs)
    said = top.get(KEY) if isinstance(node, zarr.Group) else None
    name, array, level, version = _chosen(path, node, dataset)
    layout = layout_of(path.name, array.shape, level.axes if level else _axes(array), reading)
    place = (_of_level(level, layout) if level else Place()).over(
        place_of(dict(array.attrs), _above(path, node, name, array), layout)
    )
    ours = recall(said, array.dtype)
    return Source(
        viewed(array, layout),
        version or f"zarr {array.metadata.zarr_format}",
        layout.axes,
        tuple(array.shape),
        array.dtype,
        dataset=name,
        stored=zarr_stored(array, layout),
        edges=place.edges,
        origin=place.origin or (0.0, 0.0, 0.0),
        origin_from=place.origin_from,
        intensity_range=ours.intensity_range,
        grid=ours.grid,
        made=ours.made,
        notes=dtype_notes(array.dtype),
    )


def _opened(path: Path) -> Any:
    import zarr

    try:
        return zarr.open(path, mode="r")
    except Exception as error:  # zarr has no common base for what damaged metadata raise
        raise DataError(f"{path}: not a zarr array or group, or damaged") from error


def old_grid(path: Path, scale: float | None) -> SectionGrid | None:
    """The grid of a file of an earlier version, which names its kind alone; None if sections were not kept."""
    import zarr

    node = zarr.open(path, mode="r")
    attributes: dict[str, Any] = dict(node.attrs) if isinstance(node, zarr.Group) else {}
    word = attributes.get(KEY, {}).get("grid")
    return SectionGrid.of_kind(word, scale) if word == "aligned" and scale and scale > 1 else None


Chosen = tuple[str, Any, NamedLevel | None, str]
"""Name of an array, the array, what an image says about it, and the version of OME-Zarr; empty for plain zarr."""


def _chosen(path: Path, node: Any, dataset: str | None) -> Chosen:
    """The array of a name, of the image of a name, or the only volume."""
    import zarr

    if isinstance(node, zarr.Array):
        return _array_alone(path, node, dataset)
    name = (dataset or "").strip("/")
    found = _member(path, node, name) if name else node
    if found is None:
        raise DataError(f"{path}: {unknown('array or image', name, _named(path, node))}")
    if isinstance(found, zarr.Array):
        return _array_of_image(path, node, name, found)
    if image := image_of(found):
        level = level_of(path, image)
        assert level is not None
        inside = f"{name}/{level.path}".strip("/")
        array = _member(path, node, inside)
        if not isinstance(array, zarr.Array):
            raise DataError(f"{path}: damaged OME-Zarr metadata: the level '{inside}' that it names is no array")
        return inside, array, level, version_of(found, image)
    volumes = _volumes(path, found)
    usual = [one for one in ("raw", "volumes/raw") if one in volumes]
    if len(volumes) != 1 and not usual:
        known = ", ".join(sorted(_named(path, found))) or "none"
        raise DataError(f"{path}: {len(volumes)} arrays or images are 3D; say which one ({known})")
    return _chosen(path, node, f"{name}/{(usual or volumes)[0]}")


def _member(path: Path, group: Any, name: str) -> Any:
    """An array or group by name; None if there is none."""
    try:
        return group[name]
    except KeyError:
        return None
    except Exception as error:  # zarr has no common base for what damaged metadata raise
        raise DataError(f"{path}: damaged zarr metadata ({error})") from error


def _array_alone(path: Path, array: Any, dataset: str | None) -> Chosen:
    """An array whose own folder was named; it may be a level of an image in the folder above."""
    import zarr

    if dataset:
        raise DataError(f"{path}: is a single array; it holds no '{dataset}'")
    try:
        above = zarr.open_group(path.resolve().parent, mode="r")
    except Exception:  # whatever is above a zarr array need not be zarr
        return "", array, None, ""
    image = image_of(above)
    level = level_of(path, image, path.resolve().name) if image else None
    return "", array, level, version_of(above, image) if image and level else ""


def _array_of_image(path: Path, root: Any, name: str, array: Any) -> Chosen:
    """An array by name, with what the image says that it is a level of."""
    parts = name.split("/")
    for cut in range(len(parts) - 1, -1, -1):
        group = _member(path, root, "/".join(parts[:cut])) if cut else root
        image = image_of(group)
        if image and (level := level_of(path, image, "/".join(parts[cut:]))):
            return name, array, level, version_of(group, image)
    return name, array, None, ""


def _members(path: Path, group: Any) -> dict[str, Any]:
    try:
        return dict(group.members(max_depth=None))
    except Exception as error:  # zarr has no common base for what damaged metadata raise
        raise DataError(f"{path}: damaged zarr metadata ({error})") from error


def _named(path: Path, group: Any) -> list[str]:
    """All arrays and images of a group."""
    import zarr

    members = _members(path, group)
    return [name for name, item in members.items() if isinstance(item, zarr.Array) or image_of(item)]


def _volumes(path: Path, group: Any) -> list[str]:
    """Images of a group, and 3D arrays that are no levels of these."""
    import zarr

    members = _members(path, group)
    images = [name for name, item in members.items() if isinstance(item, zarr.Group) and image_of(item)]
    images = [name for name in images if not {"labels"} & set(name.split("/"))]  # labels are no grey levels
    arrays = [name for name, item in members.items() if isinstance(item, zarr.Array)]
    return [
        *images,
        *(
            name
            for name in arrays
            if (members[name].ndim == 3 or sum(n > 1 for n in members[name].shape) == 3)
            and not any(name.startswith(f"{image}/") for image in images)
        ),
    ]


def _axes(array: Any) -> list[str] | None:
    """Names of axes: of zarr 3, of xarray, or of funlib."""
    attributes: dict[str, Any] = dict(array.attrs)
    names = getattr(array.metadata, "dimension_names", None)
    for found in (names, *(attributes.get(key) for key in ("_ARRAY_DIMENSIONS", "axis_names", "axes"))):
        if isinstance(found, list | tuple) and len(found) == array.ndim and all(isinstance(n, str) for n in found):
            return [str(name) for name in found]
    return None


def _of_level(level: NamedLevel, layout: Layout) -> Place:
    """What an image says about a level; a unit of an axis that is not written is not known."""
    units = in_order(level.units, layout)
    scale = in_order(level.scale, layout) if level.scale else None
    there = position(in_order(level.translation, layout), units) if level.translation else None
    edges = Edges.read(scale, units, "OME-Zarr scale") if scale else UNKNOWN
    return Place(edges, there, "OME-Zarr translation" if there else "")


def _above(path: Path, node: Any, name: str, array: Any) -> Mapping[str, Any]:
    """Attributes of the group of an array, where they can only be meant for it."""
    import zarr

    try:
        if isinstance(node, zarr.Array):
            group: Any = zarr.open_group(path.resolve().parent, mode="r")
        else:
            group = node[name.rpartition("/")[0]] if "/" in name else node
        return meant_for(array, dict(group.attrs), (one for _, one in group.arrays()))
    except Exception:  # whatever is above or beside a zarr array need not be zarr
        return {}


def create_zarr(
    path: Path,
    shape: Triple,
    dtype: np.dtype[Any] | str,
    voxel_size: VoxelSize | None,
    *,
    chunks: Triple | None = None,
    shards: Triple | None = None,
    coarser: Sequence[Level] = (),
    grid: SectionGrid | None = None,
    origin: Origin = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any] | None = None,
    version: Version = "0.5",
    name: str = "",
) -> Any:
    """Create an OME-Zarr image and give the zarr array of its finest level, to be filled block by block.

    Args:
        path: Folder that does not exist yet.
        shape: (z, y, x).
        dtype: Of the voxels.
        voxel_size: In nm; None is written as one unit-less voxel.
        chunks: (z, y, x).
        shards: Files of several chunks (z, y, x); whoever writes in parallel must give each file one writer.
        coarser: Further levels, each of half the resolution of the one before, named 1, 2, ...
        grid: Stored so that a reader registers the sections rightly.
        origin: In nm; a translation, left out where the voxel size is not known.
        attributes: Further facts, kept under the key `vemrecon`.
        version: Of OME-Zarr; 0.4 is zarr 2.
        name: Of the image, by default that of the folder.

    Raises:
        OSError: If the folder cannot be written.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    axes = [{"name": n, "type": "space"} | ({"unit": "nanometer"} if voxel_size else {}) for n in "zyx"]
    edges = list(voxel_size or (1.0, 1.0, 1.0))

    def placed(level: int) -> list[dict[str, Any]]:
        """Voxels of a coarser level are centred between those they are means of."""
        scale = {"type": "scale", "scale": [edge * 2**level for edge in edges]}
        between = [(2**level - 1) / 2 * edge for edge in edges]
        there = [a + b for a, b in zip(origin if voxel_size else (0.0, 0.0, 0.0), between, strict=True)]
        return [scale, {"type": "translation", "translation": there}] if any(there) else [scale]

    image = {
        "name": name or path.stem,
        "axes": axes,
        "datasets": [{"path": str(n), "coordinateTransformations": placed(n)} for n in range(1 + len(coarser))],
    }
    facts = {KEY: ({"grid": grid.as_dict()} if grid else {}) | dict(attributes or {})}
    usual = chunks or tuple(min(CHUNK, n) for n in shape)
    config: Any = {"write_empty_chunks": True}  # a missing chunk then always means a damaged copy
    if version == "0.4":
        old = {"multiscales": [{"version": "0.4", **image}], **facts}
        group = zarr.create_group(path, zarr_format=2, attributes=old)
        keys: Any = {"name": "v2", "separator": "/"}
        return group.create_array(
            "0", shape=shape, chunks=usual, dtype=np.dtype(dtype), chunk_key_encoding=keys, config=config
        )
    new = {"ome": {"version": "0.5", "multiscales": [image]}, **facts}
    group = zarr.create_group(path, zarr_format=3, attributes=new)
    levels = [(shape, usual, shards), *((one.shape, one.chunk, one.shard) for one in coarser)]
    arrays = [
        group.create_array(
            str(number),
            shape=extent,
            chunks=chunk,
            shards=shard,
            dtype=np.dtype(dtype),
            compressors=(ZstdCodec(), Crc32cCodec()),  # a damaged chunk is an error, not tissue
            dimension_names=["z", "y", "x"],
            config=config,
        )
        for number, (extent, chunk, shard) in enumerate(levels)
    ]
    return arrays[0]


def copy_to_zarr(
    path: Path,
    volume: Volume,
    dtype: np.dtype[Any] | str,
    span: Span | None = None,
    made: Made | None = None,
    version: Version = "0.5",
) -> None:
    """Write a volume as OME-Zarr, slab by slab, under a temporary name until it is complete.

    Raises:
        OutputError: If it cannot be written.
    """
    dtype = np.dtype(dtype)
    depth = min(CHUNK, volume.shape[0])
    plane = volume.shape[1] * volume.shape[2] * 4
    depth = max(1, min(depth, (128 << 20) // plane))
    chunks = (depth, min(CHUNK, volume.shape[1]), min(CHUNK, volume.shape[2]))
    sides = (min(SHARD, -(-n // edge) * edge) for n, edge in zip(volume.shape[1:], chunks[1:], strict=True))
    with unfinished_folder(path) as temporary:
        array = create_zarr(
            temporary, volume.shape, dtype, volume.voxel_size, chunks=chunks,
            shards=triple((depth, *sides)) if version == "0.5" else None, grid=volume.grid, origin=volume.origin,
            attributes=(made or Made()).facts(volume, dtype, span), version=version, name=path.stem,
        )  # fmt: skip
        for slab in volume.slabs(depth):
            array[slab.slices] = quantise(volume.read(slab), dtype, span)
