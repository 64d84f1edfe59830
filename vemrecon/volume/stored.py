"""What zarr arrays and HDF5 datasets have really stored: both read as fill values where nothing was ever written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.volume.source import Stored

NEVER = 2**64 - 1  # in the index of a shard
CHECKSUM_BYTES = 4
LEAST_COVERED = 1000  # one voxel in so many has a source; below, sources are not what should be counted


def zarr_stored(array: Any) -> Stored:
    """Chunks of a zarr array that are there, inner chunks of shards counted one by one.

    Files are counted, not places where files could be: an array may claim any size.
    """
    expected = _pieces(array.shape, array.chunks)
    folder = Path(array.store.root) / array.path
    if not array.shards:
        return Stored("chunks", expected, expected - sum(1 for _ in _files(folder, array, array.chunks)))
    index_of = _shard_index(array)
    there, found = 0, 0
    for shard, file in _files(folder, array, array.shards):
        inside = list(_inner_chunks(shard, array))
        offsets = None if index_of is None else index_of(file)
        found += 1
        there += len(inside) if index_of is None else sum(offsets is not None and offsets[n] != NEVER for n in inside)
    lost = _pieces(array.shape, array.shards) - found
    where = f"{lost} whole shard{'s' if lost > 1 else ''}" if lost else ""
    return Stored("chunks", expected, expected - there, where)


def _pieces(shape: Sequence[int], edges: Sequence[int]) -> int:
    return math.prod(-(-n // edge) for n, edge in zip(shape, edges, strict=True))


def _files(folder: Path, array: Any, edges: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Path]]:
    """Places in the grid of chunks or shards, and their files, of those that are there."""
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        place = tuple(int(part) for part in re.split(r"[/.]", name.removeprefix("c")) if part.isdigit())
        inside = all(p * edge < n for p, edge, n in zip(place, edges, array.shape, strict=False))
        if len(place) == array.ndim and inside and name == array.metadata.encode_chunk_key(place) and file.is_file():
            yield place, file


def _inner_chunks(shard: Sequence[int], array: Any) -> Iterator[tuple[int, ...]]:
    """Places in the index of a shard whose chunks lie in the array, at least in part."""
    counts = []
    for number, n, edge, inner in zip(shard, array.shape, array.shards, array.chunks, strict=True):
        counts.append(-(-min(edge, n - number * edge) // inner))
    return product(*(range(count) for count in counts))


def _shard_index(array: Any) -> Any:
    """Function that reads where in a shard file its chunks begin; None for an index of another kind.

    Source: zarr specification, "sharding codec", index_location and index_codecs.
    """
    codecs = array.metadata.to_dict()["codecs"]
    if len(codecs) != 1:
        return None
    facts = codecs[0]["configuration"]
    names = [codec["name"] for codec in facts["index_codecs"]]
    if names not in (["bytes"], ["bytes", "crc32c"]):
        return None
    order = ">" if facts["index_codecs"][0].get("configuration", {}).get("endian") == "big" else "<"
    grid = tuple(a // b for a, b in zip(array.shards, array.chunks, strict=True))
    size = math.prod(grid) * 16
    tail = size + CHECKSUM_BYTES * ("crc32c" in names)

    def read(file: Path) -> Any:
        with file.open("rb") as stream:
            if facts.get("index_location", "end") == "end":
                stream.seek(max(0, file.stat().st_size - tail))
            data = stream.read(size)
        if len(data) < size:
            return None
        return np.frombuffer(data, f"{order}u8").reshape(*grid, 2)[..., 0]

    return read


def hdf5_stored(dataset: Any, folder: Path) -> Stored:
    """Chunks of an HDF5 dataset that were ever written, or sources of a virtual one that are there.

    Args:
        dataset: An h5py dataset.
        folder: Of its file, where sources of virtual datasets are looked for.
    """
    if dataset.is_virtual:
        return _virtual_stored(dataset, folder)
    if dataset.chunks is None:
        written = dataset.id.get_storage_size() > 0 or dataset.size == 0
        return Stored("datasets", 1, 0 if written else 1, "" if written else "nothing was ever written")
    expected = _pieces(dataset.shape, dataset.chunks)
    return Stored("chunks", expected, expected - dataset.id.get_num_chunks())


def _virtual_stored(dataset: Any, folder: Path) -> Stored:
    import h5py

    sources = dataset.virtual_sources()
    gone, covered = [], 0
    for source in sources:
        covered += source.vspace.get_select_npoints()
        try:
            if source.file_name == ".":
                stored = hdf5_stored(dataset.file[source.dset_name], folder)
            else:
                path = folder / source.file_name
                with h5py.File(path, "r") as file:
                    stored = hdf5_stored(file[source.dset_name], path.parent)
        except (OSError, KeyError):
            stored = Stored("files", 1, 1)
        if stored.next_to_nothing:
            return stored
        if stored.missing:
            gone.append(f"{source.file_name}:{source.dset_name}")
    where = f"{', '.join(gone[:3])}{' ...' if len(gone) > 3 else ''}" if gone else ""
    if covered < dataset.size:
        where = f"{where}; " * bool(where) + f"{dataset.size - covered} of {dataset.size} voxels have no source"
        if covered * LEAST_COVERED < dataset.size:
            return Stored("voxels", dataset.size, dataset.size - covered, where)
        return Stored("virtual sources", len(sources) + 1, len(gone) + 1, where)
    return Stored("virtual sources", len(sources), len(gone), where)
