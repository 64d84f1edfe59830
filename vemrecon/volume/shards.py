"""Shards of neuroglancer's precomputed format: how chunks are numbered, and which of them are in the files of a folder.

Source: the format descriptions "volume" (compressed Morton code) and "sharded" of the neuroglancer project.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.volume.region import Triple, triple

KIND = "neuroglancer_uint64_sharded_v1"
ENTRY = 16  # bytes in the index of a shard: where the index of a minishard begins and ends
ROWS = 3  # of the index of a minishard: numbers of chunks, where they begin, how long they are


@dataclass(frozen=True)
class ChunkCode:
    """Numbers of chunks: the bits of their places take turns, x first, as long as an axis has any left.

    Attributes:
        chunk: Voxels of a chunk (z, y, x).
        grid: How many chunks there are along z, y and x.
    """

    chunk: Triple
    grid: Triple

    @classmethod
    def of(cls, shape: Sequence[int], chunk: Sequence[int]) -> ChunkCode:
        """That of a volume (z, y, x)."""
        return cls(triple(chunk), triple([-(-n // edge) for n, edge in zip(shape, chunk, strict=True)]))

    @property
    def order(self) -> list[tuple[int, int]]:
        """Axis and bit of its place for every bit of a number, the lowest first."""
        bits = [(n - 1).bit_length() for n in self.grid]
        return [(axis, bit) for bit in range(max(bits)) for axis in (2, 1, 0) if bit < bits[axis]]

    def number(self, place: Sequence[int]) -> int:
        """Of the chunk at a place (z, y, x) in the grid of chunks.

        >>> [ChunkCode((64, 64, 64), (2, 3, 4)).number(place) for place in ((0, 0, 1), (1, 0, 0), (0, 2, 3))]
        [1, 4, 25]
        """
        return sum((place[axis] >> bit & 1) << n for n, (axis, bit) in enumerate(self.order))

    def places(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Places of the chunks of these numbers, as far as they lie in the grid: shape (count, 3)."""
        order = self.order
        places = np.zeros((len(numbers), 3), np.uint64)
        for n, (axis, bit) in enumerate(order):
            places[:, axis] |= (numbers >> np.uint64(n) & np.uint64(1)) << np.uint64(bit)
        there = (places < np.array(self.grid, np.uint64)).all(axis=1) & (numbers >> np.uint64(len(order)) == 0)
        return places[there]

    def box(self, bits: int) -> Triple:
        """Voxels (z, y, x) of the chunks whose numbers differ in the lowest bits alone."""
        count = Counter(axis for axis, _ in self.order[:bits])
        return triple([edge << count[axis] for axis, edge in enumerate(self.chunk)])


def chunks_in_shards(folder: Path, how: Mapping[str, Any], code: ChunkCode) -> NDArray[np.uint64]:
    """Places (z, y, x) of the chunks that lie in the shards of a folder, whole: shape (count, 3).

    Shards that are damaged or cut off hold none, or those before the cut.
    """
    found = [numbers for file in sorted(folder.glob("*.shard")) for numbers in _numbers(file, how, code)]
    return code.places(np.unique(np.concatenate(found))) if found else np.zeros((0, 3), np.uint64)


def _numbers(file: Path, how: Mapping[str, Any], code: ChunkCode) -> Iterator[NDArray[np.uint64]]:
    """Numbers of the chunks of every minishard of a file."""
    size, head = file.stat().st_size, ENTRY << int(how["minishard_bits"])
    if head > size:
        return
    most = 8 * ROWS << len(code.order)
    with file.open("rb") as stream:
        for start, stop in np.frombuffer(stream.read(head), "<u8").reshape(-1, 2).tolist():
            if not start < stop <= size - head:
                continue
            stream.seek(head + start)
            data = stream.read(stop - start)
            if how.get("minishard_index_encoding") == "gzip":
                with suppress(zlib.error):
                    data = zlib.decompressobj(wbits=31).decompress(data, most)
            if len(data) % (8 * ROWS) == 0:
                numbers, gaps, sizes = np.frombuffer(data, "<u8").reshape(ROWS, -1)
                ends = np.cumsum(gaps + sizes)
                yield np.cumsum(numbers)[ends <= size - head]
