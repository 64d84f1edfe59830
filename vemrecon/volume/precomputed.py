"""Volumes in neuroglancer's precomputed format, in a folder of this machine.

Source: the format description "precomputed" of the neuroglancer project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.errors import DataError, unknown
from vemrecon.files import read_json
from vemrecon.volume.edges import Edges
from vemrecon.volume.layout import Layout, dtype_notes, in_order, layout_of, viewed
from vemrecon.volume.lengths import edges_said
from vemrecon.volume.made import KEY, recall
from vemrecon.volume.reading import Reading
from vemrecon.volume.shards import ChunkCode, chunks_in_shards
from vemrecon.volume.source import Source, Stored
from vemrecon.volume.stored import chunks_stored
from vemrecon.volume.tensorstores import StoredArray, local_store
from vemrecon.volume.volume import Origin

LOSSY = ("jpeg", "jxl")


def open_precomputed(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open one scale of a volume: that of a key, or the finest.

    Raises:
        DataError: If the folder is no precomputed volume, holds labels, or no such scale.
    """
    number, scale = _scale(path, dataset)
    folder = (path / str(scale["key"])).resolve()
    if not folder.is_relative_to(path.resolve()):
        raise DataError(f"{path}: the scale {scale['key']} lies outside of its folder; name that folder itself")
    store = local_store(path, path, "neuroglancer_precomputed", {"scale_index": number}, reading.missing == "fill")
    array = StoredArray(store)
    layout = layout_of(path.name, array.shape, list("czyx"), reading)
    edges = in_order(_three(path, scale, "resolution"), layout)
    places = in_order(_three(path, scale, "voxel_offset", (0, 0, 0)), layout)
    assert edges is not None and places is not None
    facts = scale.get(KEY)
    said = _edges(edges, facts)
    z, y, x = _origin([place * edge for place, edge in zip(places, edges, strict=True)], said, facts, layout)
    ours = recall(facts, array.dtype)
    lossy = (f"its chunks are {scale['encoding']}: lossy",) if scale.get("encoding") in LOSSY else ()
    return Source(
        viewed(array, layout),
        "neuroglancer precomputed",
        layout.axes,
        array.shape,
        array.dtype,
        dataset=str(scale["key"]),
        stored=_stored(folder, scale, array, layout),
        edges=said,
        origin=(z, y, x),
        origin_from="precomputed voxel_offset" if any((z, y, x)) else "",
        intensity_range=ours.intensity_range,
        grid=ours.grid,
        made=ours.made,
        notes=(*lossy, *dtype_notes(array.dtype)),
    )


def _edges(edges: Sequence[float], facts: Any) -> Edges:
    """Edges of a voxel; none where we have written the file, and nobody had said them."""
    if isinstance(facts, Mapping) and facts.get("voxel_size", edges) is None:
        return Edges(unused=("precomputed resolution says 1, as the format must have one and nobody has said it",))
    return edges_said(edges, 1.0, "precomputed resolution")


def _origin(places: Sequence[float], said: Edges, facts: Any, layout: Layout) -> Origin:
    """The origin in nm: that of our own facts where the format's, in whole voxels, is the nearest to it."""
    if said.size is None:
        return 0.0, 0.0, 0.0
    z, y, x = places
    with suppress(KeyError, TypeError, ValueError):
        exact = [float(place) for place in in_order(facts["origin"], layout) or ()]
        if all(abs(a - b) <= 0.51 * edge for a, b, edge in zip(exact, places, said.size, strict=True)):
            z, y, x = exact
    return z, y, x


def _scale(path: Path, key: str | None) -> tuple[int, Mapping[str, Any]]:
    """Number and facts of the scale of a key, or of the finest one."""
    info = read_json(path / "info")
    scales: Any = info.get("scales") if isinstance(info, Mapping) else None
    if not (isinstance(scales, list) and scales and all(isinstance(s, Mapping) and "key" in s for s in scales)):
        raise DataError(f"{path}: its file `info` is not that of a precomputed volume; a folder of sections has none")
    if info.get("type") == "segmentation":
        raise DataError(f"{path}: holds labels (type segmentation), not grey levels; name the image")
    keys = {str(scale["key"]): number for number, scale in enumerate(scales)}
    if key is not None and key.strip("/") not in keys:
        raise DataError(f"{path}: {unknown('scale', key, keys)}")
    sizes = [float(np.prod(_three(path, scale, "resolution"))) for scale in scales]
    number = sizes.index(min(sizes)) if key is None else keys[key.strip("/")]
    return number, scales[number]


def _three(path: Path, scale: Mapping[str, Any], name: str, usual: Sequence[float] | None = None) -> list[float]:
    """Three numbers of a scale in the order z, y, x."""
    try:
        x, y, z = (float(n) for n in scale.get(name, usual))
        return [z, y, x]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged `info`: {name} {scale.get(name)} of scale {scale['key']}") from error


def _stored(folder: Path, scale: Mapping[str, Any], array: StoredArray, layout: Layout) -> Stored:
    """Chunks whose files are there, or that are in the files of their shards.

    tensorstore gives zeros for chunks of most shards that are not there, whatever it is told.
    """
    chunks = (array.shape[0], *array.chunks[1:])
    if scale.get("sharding"):
        code = ChunkCode.of(array.shape[1:], array.chunks[1:])
        there = chunks_in_shards(folder, scale["sharding"], code)
        return chunks_stored(((0, *place) for place in there.tolist()), array.shape, chunks, layout)
    shape, edges = array.shape[:0:-1], array.chunks[:0:-1]  # x, y, z
    begin = [int(n) for n in scale.get("voxel_offset", (0, 0, 0))]
    places, packed = [], 0
    for file in folder.iterdir() if folder.is_dir() else ():
        if found := re.fullmatch(r"(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)(\.gz)?", file.name):
            ends = [int(n) for n in found.groups()[:6]]
            starts = [n - at for n, at in zip(ends[::2], begin, strict=True)]
            stops = [n - at for n, at in zip(ends[1::2], begin, strict=True)]
            whole = all(
                start % edge == 0 and 0 <= start < n and stop == min(start + edge, n)
                for start, stop, edge, n in zip(starts, stops, edges, shape, strict=True)
            )
            packed += whole and bool(found.group(7))
            if whole and not found.group(7):
                x, y, z = (start // edge for start, edge in zip(starts, edges, strict=True))
                places.append((0, z, y, x))
    where = f"{packed} are kept as .gz: unpack them first (gunzip)" if packed else ""
    return chunks_stored(places, array.shape, chunks, layout, where)
