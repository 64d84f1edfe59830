"""Volumes in neuroglancer's precomputed format, sharded: one scale, chunks packed with gzip, few files.

Source: the format descriptions "volume" and "sharded" of the neuroglancer project.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.files import write_json
from vemrecon.volume.made import KEY, Made
from vemrecon.volume.shards import KIND, ChunkCode
from vemrecon.volume.tensorstore_writing import CONTEXT, whole_files, written
from vemrecon.volume.unfinished import unfinished_folder
from vemrecon.volume.volume import Span, Volume

CHUNK = 64
SHARD_BYTES = 64 << 20  # before packing
MINISHARD_BITS = 6
"""Of the number of chunks in a minishard, whose index is read whole."""


def write_precomputed(
    path: Path, volume: Volume, dtype: np.dtype[Any], span: Span | None = None, made: Made | None = None
) -> None:
    """Write a volume as one scale, shard by shard, under a temporary name until it is complete.

    The format has whole voxels for the place of a volume, and must have a voxel size: what it cannot say stands among
    our own facts, and `open_volume` finds it there.

    Raises:
        OutputError: If it cannot be written.
    """
    size = list(volume.voxel_size or (1.0, 1.0, 1.0))
    offset = [round(place / edge) for place, edge in zip(volume.origin, size, strict=True)]
    code = ChunkCode.of(volume.shape, [min(CHUNK, n) for n in volume.shape])
    known = {"origin": list(volume.origin)} if volume.voxel_size else {"voxel_size": None}
    key, how = "_".join(f"{edge:g}" for edge in size[::-1]), sharding(code, dtype.itemsize)
    scale = {
        "key": key,
        "size": volume.shape[::-1],
        "resolution": size[::-1],
        "voxel_offset": offset[::-1] if volume.voxel_size else [0, 0, 0],
        "chunk_sizes": [code.chunk[::-1]],
        "encoding": "raw",
        "sharding": how,
        KEY: (made or Made()).facts(volume, dtype, span) | known,
    }
    info = {
        "@type": "neuroglancer_multiscale_volume",
        "type": "image",
        "data_type": dtype.name,
        "num_channels": 1,
        "scales": [scale],
    }
    with unfinished_folder(path) as folder:
        write_json(folder / "info", info)
        _fill(folder / key, code, how, volume, dtype, span)


def sharding(code: ChunkCode, itemsize: int) -> dict[str, Any]:
    """How chunks are put into shards: boxes of up to `SHARD_BYTES`.

    >>> facts = sharding(ChunkCode.of((1024, 2048, 2048), (64, 64, 64)), 1)
    >>> [facts[f"{name}_bits"] for name in ("preshift", "minishard", "shard")]
    [6, 2, 6]
    """
    chunks = SHARD_BYTES // (math.prod(code.chunk) * itemsize)
    inside = min(len(code.order), chunks.bit_length() - 1)
    minishards = max(0, inside - MINISHARD_BITS)
    return {
        "@type": KIND,
        "hash": "identity",
        "preshift_bits": inside - minishards,
        "minishard_bits": minishards,
        "shard_bits": len(code.order) - inside,
        "minishard_index_encoding": "gzip",
        "data_encoding": "gzip",
    }


def _fill(
    folder: Path, code: ChunkCode, how: Mapping[str, Any], volume: Volume, dtype: np.dtype[Any], span: Span | None
) -> None:
    """Write all shards, one by one by their chunks: as an array, tensorstore would leave out those that are black."""
    import tensorstore

    folder.mkdir()
    base = {"driver": "file", "path": f"{folder.resolve()}/"}
    spec = {"driver": "neuroglancer_uint64_sharded", "base": base, "metadata": how, "context": CONTEXT}
    (store,) = written([partial(tensorstore.KvStore.open, spec)])
    edges = code.box(how["preshift_bits"] + how["minishard_bits"])
    for block, voxels in whole_files(volume, edges, dtype.newbyteorder("<"), span):
        shards = []
        for shard in block.blocks(edges):
            transaction = tensorstore.Transaction()
            for chunk in shard.blocks(code.chunk):
                number = code.number([start // edge for start, edge in zip(chunk.start, code.chunk, strict=True)])
                data = voxels[chunk.relative_to(block.start).slices].tobytes()
                store.with_transaction(transaction)[number.to_bytes(8)] = data
            shards.append(transaction.commit_async)
        written(shards)
