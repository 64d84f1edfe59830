"""Whether two volumes hold the same voxels somewhere, and where.

Short rows of voxels (probes) on a grid in one volume are looked up at every place of the other one; a hit counts when
the block of 512 voxels that begins there is the same too. Resampled, filtered, turned or lossily compressed copies are
not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.locate import Located, task_volume
from vemrecon.data.split import Split
from vemrecon.errors import DataError
from vemrecon.kept import read_mark, write_mark
from vemrecon.volume import Region, Volume
from vemrecon.volume.region import Triple, triple

STRIDE = 32  # of the grid; with a block it makes up the shortest overlap that is always found, 40 voxels
BLOCK = 8
WORD_BYTES = 8  # a probe is one machine word: eight voxels of uint8, four of uint16
TABLE_BITS = 20
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: its products spread words over the table
WINDOWS = 1 << 20  # words that are looked up at once, to stay in the processor's cache
CANDIDATES = 64  # offsets of one section that are looked into; noise gives none, even areas give many

Words = NDArray[np.uint64]


def require_no_copy(train: Split, learned: Located, test: Split, scored: Located, scratch: Path) -> None:
    """Refuse training voxels from another file that are a copy of scored ones. The answer is remembered.

    Args:
        train: The training split.
        learned: Where its volume is.
        test: The scored split.
        scored: Where its volume is.
        scratch: Folder of remembered answers.

    Raises:
        DataError: If they share a block of voxels.
    """
    memory = scratch / "copies.json"
    known = read_mark(memory)
    key = f"{learned.digest[:16]}-{train.digest} {scored.digest[:16]}-{test.digest}"
    if key not in known:
        a, b = task_volume(learned, train), task_volume(scored, test)
        comparable = a.dtype == b.dtype and np.issubdtype(a.dtype, np.integer)
        known[key] = shares_content(a, b) if comparable else None
        write_mark(memory, known)
    if known[key] is not None:
        raise DataError(
            f"split '{test.name}' holds voxels of the training split '{train.name}' (which begins at {known[key]} in "
            f"it, z y x), though they are different files; scores would be of what was learned"
        )


def shares_content(a: Volume, b: Volume) -> Triple | None:
    """Where one volume lies in the frame of another, if a block of their voxels is the same.

    Any overlap of 40 voxels along every axis is found (where `a` has less than 256 voxels, also a shorter one), unless
    it is almost even. Reads `b` once at most, slab by slab: about a second for 520 x 520 x 520 voxels of 8 bits.

    Args:
        a: A volume.
        b: Another one of the same dtype.

    Returns:
        Voxel (z, y, x) of `b` where the first voxel of `a` lies, negative where `a` begins before `b`; None where no
        common block was found.

    Raises:
        DataError: If the dtypes differ.
    """
    if a.dtype != b.dtype:
        raise DataError(
            f"{a.name} ({a.dtype}) and {b.name} ({b.dtype}): only volumes of one dtype can be searched for equal voxels"
        )
    words, places = _probes(a)
    table = np.zeros(1 << TABLE_BITS, bool)
    table[_slot(words)] = True
    refuted: set[Triple] = set()
    for slab in b.slabs() if len(words) else ():
        for z, section in enumerate(b.read_raw(slab), slab.start[0]):
            for place, offset in _candidates(section, z, words, places, table):
                if offset in refuted:
                    continue
                same = _same_block(a, b, place, offset)
                if same:
                    return offset
                if same is False:
                    refuted.add(offset)
    return None


def where_is(part: Volume, whole: Volume) -> Triple | None:
    """Voxel (z, y, x) of a volume where a part that was cut out of it begins.

    Returns:
        The place where every voxel of the part equals that of the whole, or None if there is none.

    Raises:
        DataError: If the dtypes differ.
    """
    offset = shares_content(part, whole)
    if offset is None or not _inside(whole, offset, part.shape):
        return None
    for slab in part.slabs():
        if not np.array_equal(part.read_raw(slab), whole.read_raw(slab.shifted(offset))):
            return None
    return offset


def _probes(volume: Volume) -> tuple[Words, NDArray[np.int64]]:
    """Words of the grid, rising and without doubles, and their places (z, y, x); even stretches are left out."""
    length = WORD_BYTES // volume.dtype.itemsize
    zs, ys, xs = (
        range(0, max(1, n - BLOCK + 1), min(STRIDE, max(BLOCK, n // BLOCK)))  # denser in thin volumes
        for n in volume.shape
    )
    words: list[NDArray[np.uint64]] = []
    places: list[Triple] = []
    for z in zs:
        section = volume.read_raw(Region((z, 0, 0), (z + 1, *volume.shape[1:])))[0]
        for y in ys:
            for x in xs:
                probe = section[y, x : x + length]
                if len(probe) == length and len(np.unique(probe)) > length / 2:
                    words.append(np.ascontiguousarray(probe).view(np.uint64))
                    places.append((z, y, x))
    if not words:
        return np.empty(0, np.uint64), np.empty((0, 3), np.int64)
    unique, first = np.unique(np.concatenate(words), return_index=True)
    return unique, np.array(places)[first]


def _slot(words: Words) -> NDArray[np.uint64]:
    return (words * SPREAD) >> np.uint64(64 - TABLE_BITS)


def _candidates(
    section: NDArray[np.generic], z: int, words: Words, places: NDArray[np.int64], table: NDArray[np.bool_]
) -> Iterator[tuple[Triple, Triple]]:
    """Places of probes that occur in a section, and the offsets that follow, the most frequent offset first."""
    length, width = WORD_BYTES // section.itemsize, section.shape[1]
    if width < length:
        return
    pairs = []
    rows = max(1, WINDOWS // width)
    for y in range(0, section.shape[0], rows):
        part = np.ascontiguousarray(section[y : y + rows])
        windows: Words = np.ndarray(part.size - length + 1, np.uint64, part.data, strides=(part.itemsize,))
        likely = np.flatnonzero(table[_slot(windows)])
        likely = likely[likely % width <= width - length]  # others reach over the end of a row
        which = np.searchsorted(words, windows[likely]).clip(max=len(words) - 1)
        hit = words[which] == windows[likely]
        found = np.stack([np.full(hit.sum(), z), y + likely[hit] // width, likely[hit] % width], axis=1)
        pairs.append(np.concatenate([places[which[hit]], found - places[which[hit]]], axis=1))
    hits = np.concatenate(pairs)
    if not len(hits):
        return
    offsets, index, counts = np.unique(hits[:, 3:], axis=0, return_inverse=True, return_counts=True)
    for number in np.argsort(-counts, kind="stable")[:CANDIDATES]:
        for hit in hits[index.reshape(-1) == number][:CANDIDATES]:
            yield triple(hit[:3]), triple(offsets[number])


def _same_block(a: Volume, b: Volume, place: Triple, offset: Triple) -> bool | None:
    """Whether the block of `a` that begins at a place is also in `b`; None where it reaches outside."""
    shape = triple([min(BLOCK, n) for n in a.shape])
    moved = triple([p + o for p, o in zip(place, offset, strict=True)])
    if not (_inside(a, place, shape) and _inside(b, moved, shape)):
        return None
    block = Region(place, triple([p + n for p, n in zip(place, shape, strict=True)]))
    return np.array_equal(a.read_raw(block), b.read_raw(block.shifted(offset)))


def _inside(volume: Volume, start: Triple, shape: Triple) -> bool:
    return all(s >= 0 and s + n <= limit for s, n, limit in zip(start, shape, volume.shape, strict=True))
