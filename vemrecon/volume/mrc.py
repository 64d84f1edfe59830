"""Volumes in MRC files (MAP, REC, ST): those of the 2014 standard, and of IMOD where it differs.

Source: MRC2014 (the format description of CCP-EM); "mrc_format.txt" of IMOD for imodStamp and imodFlags.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.layout import dtype_notes, layout_of, viewed
from vemrecon.volume.lengths import edges_said
from vemrecon.volume.made import KEY, Made, Recalled, recall
from vemrecon.volume.quantise import intensity_range_of, quantise
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source
from vemrecon.volume.unfinished import unfinished_file
from vemrecon.volume.volume import Origin, Span, Volume
from vemrecon.volume.voxels import VoxelSize

IMOD_STAMP = 1146047817
SIGNED_BYTES, ORIGIN_AS_STANDARD, HALF_BYTES = 1, 4, 16
"""Flags of IMOD."""
MODES = {"uint8": 6, "uint16": 6, "int16": 1, "float32": 2}
"""In which each type is kept. Mode 0 is signed in the standard, unsigned in older files: nobody could be sure of it."""
CLEARLY = 0.8  # smoother: bytes that are taken for the other kind jump where grey levels cross a border
LABELS, LABEL_BYTES = 10, 80


def open_mrc(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open an MRC file as a memory map; the voxel size is its cell over its grid, the origin that of its header.

    Bytes are signed or not as IMOD's flags say, else as the standard says unless the header's range or the content
    show that it cannot be; signed ones are read as int16, whose range is then that of a byte.

    Raises:
        DataError: If the file is damaged or truncated, or of a mode that holds no grey levels.
    """
    array, header, notes = _opened(path)
    flags = _imod_flags(header)
    span: Span | None = None
    stored = array.dtype
    if flags is not None and flags & HALF_BYTES and stored == np.int8:
        raise DataError(f"{path}: two voxels of 4 bits in a byte; convert it with IMOD's newstack -mode 0")
    if stored == np.int8:
        signed, note = _signed(array, header, flags)
        notes.append(note)
        array = array if signed else array.view(np.uint8)
        stored = array.dtype
        if signed:
            array, span = _Wider(array), (-128.0, 127.0)
    layout = layout_of(path.name, array.shape, _axes(path, header, array.ndim), reading)
    edges = edges_said(_edges(header), 0.1, "MRC cell")
    ours = _recalled(header, array.dtype)
    origin, moved = _origin(header, flags, edges.size)
    if flags is not None:
        notes.append("rows in the order of the file; IMOD shows the first one at the bottom, and mrc2tif turns them")
    return Source(
        viewed(array, layout),
        "MRC",
        layout.axes,
        tuple(array.shape),
        stored,
        edges=edges,
        origin=origin,
        origin_from="MRC origin" if moved else "",
        intensity_range=ours.intensity_range or span,
        grid=ours.grid,
        made=ours.made,
        notes=(*notes, *dtype_notes(stored)),
    )


def _opened(path: Path) -> tuple[Any, Any, list[str]]:
    """Voxels as stored, the header, and what the library complains about."""
    import mrcfile

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            file = mrcfile.mmap(path, mode="r")
            array, header = file.data, file.header.copy()
        except Exception as error:  # the library and numpy raise several kinds on damaged files
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: not an MRC file, truncated or damaged ({reason})") from error
    if array is None or array.ndim < 3:
        raise DataError(f"{path}: an MRC file of one section; a volume is a stack of sections with the axes (z, y, x)")
    return array, header, [" ".join(str(one.message).split()) for one in complaints]


def _imod_flags(header: Any) -> int | None:
    """IMOD's flags; None where another program wrote the file."""
    order = header["mode"].dtype.byteorder
    words = np.frombuffer(header.tobytes(), np.dtype("i4").newbyteorder(order), 256)
    return int(words[39]) if words[38] == IMOD_STAMP else None


def _signed(array: NDArray[np.int8], header: Any, flags: int | None) -> tuple[bool, str]:
    """Whether bytes are signed, and why: by the flags of IMOD, the range in the header, the content, the standard."""
    if flags is not None:
        signed = bool(flags & SIGNED_BYTES)
        return signed, f"bytes are {'signed' if signed else 'unsigned'}, as the flags of IMOD say"
    low, high = float(header["dmin"]), float(header["dmax"])
    if 0 <= low <= high and 127 < high <= 255:
        return False, f"bytes are unsigned: its header says values from {low:g} to {high:g}"
    if low > high or (low, high) == (0, 0):  # not said
        section = np.asarray(array[len(array) // 2])
        steps = [_step(section), _step(section.view(np.uint8))]
        if steps[1] < CLEARLY * steps[0]:
            return False, "bytes are unsigned: as signed ones, neighbours would differ by the whole range"
    return True, "bytes are signed, as the standard says: mid-grey is 0"


def _step(section: NDArray[Any]) -> float:
    """How much neighbours differ."""
    return float(np.abs(np.diff(section.astype(np.int16), axis=-1)).mean())


class _Wider:
    """Signed bytes as int16."""

    def __init__(self, array: NDArray[np.int8]) -> None:
        self.array, self.shape, self.ndim = array, array.shape, array.ndim
        self.dtype = np.dtype(np.int16)

    def __getitem__(self, index: Any) -> NDArray[np.int16]:
        return np.asarray(self.array[index], dtype=np.int16)


def _axes(path: Path, header: Any, count: int) -> list[str] | None:
    """Names of axes as stored; a fourth one counts volumes, for which time is the nearest word."""
    numbers = [int(header[name]) for name in ("maps", "mapr", "mapc")]
    if not any(numbers):
        numbers = [3, 2, 1]  # older files leave them out
    if sorted(numbers) != [1, 2, 3]:
        raise DataError(f"{path}: damaged MRC header (axes {numbers[::-1]} where 1, 2 and 3 should be)")
    return ["t"] * (count - 3) + ["xyz"[number - 1] for number in numbers]


def _edges(header: Any) -> list[float]:
    """Edges of a voxel along z, y and x in Å; 0 where they are not said."""
    edges = []
    for axis in "zyx":
        cell, count = float(header["cella"][axis]), int(header[f"m{axis}"])
        edges.append(float(f"{cell / count:.6g}") if count > 0 and math.isfinite(cell) else 0.0)
    return edges


def _origin(header: Any, flags: int | None, size: VoxelSize | None) -> tuple[Origin, bool]:
    """Centre of the first voxel in nm, and whether it is said: the origin, or where the sub-volume begins."""
    places = [float(header["origin"][axis]) / 10 for axis in "zyx"]
    if flags is not None and not flags & ORIGIN_AS_STANDARD:
        places = [-place for place in places]  # IMOD keeps where the point (0, 0, 0) lies in the volume
    if not all(math.isfinite(place) for place in places):
        places = [0.0] * 3
    if not any(places) and size is not None and flags is None:
        starts = {"xyz"[int(header[m]) - 1]: int(header[n]) for m, n in _STARTS if 1 <= int(header[m]) <= 3}
        places = [starts.get(axis, 0) * edge for axis, edge in zip("zyx", size, strict=True)]
    z, y, x = (float(f"{place:.7g}") + 0.0 for place in places)
    return (z, y, x), any(places)


_STARTS = (("mapc", "nxstart"), ("mapr", "nystart"), ("maps", "nzstart"))


def _recalled(header: Any, dtype: np.dtype[Any]) -> Recalled:
    """What we have written into the labels."""
    text = "".join(label.decode("ascii", "replace") for label in header["label"][1 : int(header["nlabl"])])
    if not text.startswith(f'{{"{KEY}"'):
        return Recalled()
    try:
        facts, _ = json.JSONDecoder().raw_decode(text)  # other programs add labels of their own
    except ValueError:
        return Recalled()
    return recall(facts[KEY], dtype)


def write_mrc(
    path: Path, volume: Volume, dtype: np.dtype[Any], span: Span | None = None, made: Made | None = None
) -> None:
    """Write a volume as MRC, slab by slab, under a temporary name until it is complete.

    uint8 is kept as uint16 (mode 6), with the range of a byte. Grid, range and how it was made are kept in the labels.

    Raises:
        OutputError: If the file cannot be written.
    """
    import mrcfile

    made = made or Made()
    low, high, total = math.inf, -math.inf, 0.0
    mode = MODES[dtype.name]
    with (
        unfinished_file(path) as temporary,
        mrcfile.new_mmap(temporary, volume.shape, mode, overwrite=True) as file,
    ):
        with temporary.open("r+b") as handle:  # a full disk would kill the process when a map is written to
            os.posix_fallocate(handle.fileno(), 0, temporary.stat().st_size)
        for slab in volume.slabs():
            voxels = quantise(volume.read(slab), dtype, span)
            file.data[slab.slices] = voxels
            low, high = min(low, float(voxels.min())), max(high, float(voxels.max()))
            total += float(voxels.sum(dtype=np.float64))
        if volume.voxel_size is not None:
            file.voxel_size = tuple(10 * edge for edge in reversed(list(volume.voxel_size)))
            file.header.origin = tuple(10 * place for place in reversed(volume.origin))
        file.header.dmin, file.header.dmax = low, high
        file.header.dmean, file.header.rms = total / volume.whole.voxels, -1
        labels = _labels(made, made.facts(volume, file.data.dtype, span or intensity_range_of(dtype)))
        file.header.label[: len(labels)] = labels
        file.header.nlabl = len(labels)


def _labels(made: Made, facts: dict[str, Any]) -> list[bytes]:
    """One line for people, then the facts; without how it was made where they do not fit otherwise."""
    first = made.label().encode("ascii", "replace")[:LABEL_BYTES]
    for kept in (facts, {name: value for name, value in facts.items() if name != "made"}):
        text = json.dumps({KEY: kept}, separators=(",", ":"), allow_nan=False).replace(" ", "\\u0020")
        parts = [text[at : at + LABEL_BYTES].encode() for at in range(0, len(text), LABEL_BYTES)]
        if len(parts) < LABELS:
            return [first, *parts]
    return [first]
