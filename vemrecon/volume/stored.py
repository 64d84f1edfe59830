"""What zarr arrays and HDF5 datasets have really stored: both read as fill values where nothing was ever written."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.volume.layout import Layout
from vemrecon.volume.reading import Run
from vemrecon.volume.source import Stored

NEVER = 2**64 - 1  # in the index of a shard
CHECKSUM_BYTES = 4
Place = tuple[int, ...]
"""Of a chunk in the grid of chunks."""
LEAST_COVERED = 1000  # one voxel in so many has a source; below, sources are not what should be counted


def whole_runs(pieces: Iterable[tuple[int, int, int]], count: int, need: int) -> tuple[Run, ...]:
    """Runs of sections to which enough pieces belong.

    Args:
        pieces: First section, the one behind the last, and how much the piece holds of each of them.
        count: Sections of the volume.
        need: How much a whole section holds.
    """
    changes = Counter[int]()
    for start, stop, share in pieces:
        changes[start] += share
        changes[min(stop, count)] -= share
    runs: list[Run] = []
    held, begun = 0, None
    for z in sorted(changes):
        held += changes[z]
        if begun is None and held >= need:
            begun = z
        elif begun is not None and held < need:
            runs.append((begun, z))
            begun = None
    return tuple(runs)


def chunks_stored(
    places: Iterable[Place],
    shape: Sequence[int],
    edges: Sequence[int],
    layout: Layout,
    where: str = "",
    unit: str = "chunks",
) -> Stored:
    """How many chunks of a volume are there, and of which sections all are.

    Args:
        places: Of the chunks that are stored; those of other channels and time points do not count.
        shape: Of the stored array.
        edges: Of a chunk.
        layout: Which axis is which.
        where: Which are missing, for people.
        unit: What they are called.
    """
    axes = list(zip(shape, edges, layout.at, strict=True))
    expected = math.prod(-(-n // edge) for n, edge, at in axes if at is None)
    fixed = [(axis, at // edge) for axis, (_, edge, at) in enumerate(axes) if at is not None]
    there = [place for place in places if all(place[axis] == number for axis, number in fixed)]
    missing = expected - len(there)
    if not missing:
        return Stored(unit, expected, 0)

    def runs(letter: str) -> tuple[Run, ...]:
        """Along an axis, where all chunks are there."""
        axis = layout.axes.find(letter)
        if axis < 0:
            return ()
        layers = Counter(place[axis] for place in there).items()
        pieces = ((number * edges[axis], (number + 1) * edges[axis], held) for number, held in layers)
        return whole_runs(pieces, shape[axis], expected // -(-shape[axis] // edges[axis]))

    rows, columns = (max(runs(letter), key=lambda run: run[1] - run[0], default=None) for letter in "yx")
    return Stored(unit, expected, missing, where, runs("z"), rows, columns)


def zarr_stored(array: Any, layout: Layout) -> Stored:
    """Chunks of a zarr array that are there, inner chunks of shards counted one by one.

    Files are counted, not places where files could be: an array may claim any size.
    """
    folder = Path(array.store.root) / array.path
    if not array.shards:
        places = (place for place, _ in _files(folder, array, array.chunks))
        return chunks_stored(places, array.shape, array.chunks, layout)
    shards = list(_files(folder, array, array.shards))
    lost = math.prod(-(-n // edge) for n, edge in zip(array.shape, array.shards, strict=True)) - len(shards)
    where = f"{lost} whole shard{'s' if lost > 1 else ''}" if lost else ""
    return chunks_stored(_in_shards(shards, array), array.shape, array.chunks, layout, where)


def _files(folder: Path, array: Any, edges: Sequence[int]) -> Iterator[tuple[Place, Path]]:
    """Places in the grid of chunks or shards, and their files, of those that are there."""
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        place = tuple(int(part) for part in re.split(r"[/.]", name.removeprefix("c")) if part.isdigit())
        inside = all(p * edge < n for p, edge, n in zip(place, edges, array.shape, strict=False))
        if len(place) == array.ndim and inside and name == array.metadata.encode_chunk_key(place) and file.is_file():
            yield place, file


def _in_shards(shards: Iterable[tuple[Place, Path]], array: Any) -> Iterator[Place]:
    """Places of the chunks in shards; of a shard whose index is of another kind, all."""
    index_of = _shard_index(array)
    inside = tuple(shard // inner for shard, inner in zip(array.shards, array.chunks, strict=True))
    for shard, file in shards:
        offsets = None if index_of is None else index_of(file)
        for inner in _inner_chunks(shard, array):
            if index_of is None or (offsets is not None and offsets[inner] != NEVER):
                yield tuple(s * n + i for s, n, i in zip(shard, inside, inner, strict=True))


def _inner_chunks(shard: Sequence[int], array: Any) -> Iterator[Place]:
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


def hdf5_stored(dataset: Any, folder: Path, layout: Layout) -> Stored:
    """Chunks of an HDF5 dataset that were ever written, or sources of a virtual one that are there.

    Args:
        dataset: An h5py dataset.
        folder: Of its file, where sources of virtual datasets are looked for.
        layout: Which axis is which.
    """
    if dataset.is_virtual:
        return _virtual_stored(dataset, folder, layout)
    if dataset.chunks is None:
        written = dataset.id.get_storage_size() > 0 or dataset.size == 0
        return Stored("datasets", 1, 0 if written else 1, "" if written else "nothing was ever written")
    every = math.prod(-(-n // edge) for n, edge in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() >= every:
        return Stored("chunks", chunks_stored((), dataset.shape, dataset.chunks, layout).expected, 0)
    places: list[Place] = []
    dataset.id.chunk_iter(
        lambda chunk: places.append(tuple(o // e for o, e in zip(chunk.chunk_offset, dataset.chunks, strict=True)))
    )
    return chunks_stored(places, dataset.shape, dataset.chunks, layout)


def _virtual_stored(dataset: Any, folder: Path, layout: Layout) -> Stored:
    sources = dataset.virtual_sources()
    z = layout.axes.index("z")
    gone, pieces, covered = [], [], 0
    for source in sources:
        voxels = source.vspace.get_select_npoints()
        covered += voxels
        start, last = source.vspace.get_select_bounds()
        if _is_there(source, dataset, folder):
            pieces.append((start[z], last[z] + 1, voxels // (last[z] + 1 - start[z])))
        else:
            gone.append(f"{source.file_name}:{source.dset_name}")
    where = f"{', '.join(gone[:3])}{' ...' if len(gone) > 3 else ''}"
    runs = whole_runs(pieces, dataset.shape[z], dataset.size // max(1, dataset.shape[z]))
    if covered < dataset.size:
        where = f"{where}; " * bool(where) + f"{dataset.size - covered} of {dataset.size} voxels have no source"
        if covered * LEAST_COVERED < dataset.size:
            return Stored("voxels", dataset.size, dataset.size - covered, where, runs)
        return Stored("virtual sources", len(sources) + 1, len(gone) + 1, where, runs)
    return Stored("virtual sources", len(sources), len(gone), where, runs if gone else ())


def _is_there(source: Any, dataset: Any, folder: Path) -> bool:
    """Whether the source of a virtual dataset can be read, and lacks nothing."""
    import h5py

    def complete(found: Any, home: Path) -> bool:
        axes = f"zyx{'.' * found.ndim}"[: found.ndim]  # what matters is whether anything is missing, not where
        return not hdf5_stored(found, home, Layout(axes, (None,) * found.ndim)).missing

    try:
        if source.file_name == ".":
            return complete(dataset.file[source.dset_name], folder)
        path = folder / source.file_name
        with h5py.File(path, "r") as file:
            return complete(file[source.dset_name], path.parent)
    except (OSError, KeyError):
        return False
