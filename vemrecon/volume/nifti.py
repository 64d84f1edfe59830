"""Volumes in NIfTI files, versions 1 and 2.

Source: NIfTI-1 data format (dim, pixdim, xyzt_units, sform and qform, scl_slope).
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.edges import Edges
from vemrecon.volume.frame import Frame, placed
from vemrecon.volume.inflate import NOTE, inflated, mapped
from vemrecon.volume.layout import dtype_notes, layout_of, viewed
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source
from vemrecon.volume.volume import Array3D
from vemrecon.volume.voxels import TOLERANCE

UNITS = {"meter": 1e9, "mm": 1e6, "micron": 1e3}
"""In nm."""
STORED_AXES = "xyztc"


def open_nifti(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a NIfTI image: a memory map, or if compressed all of it in memory.

    Axes are x, y, z, time and channel, turned as the affine says if it only exchanges them. Scaled grey values
    (scl_slope, scl_inter) are read as floats.

    Raises:
        DataError: If the file is damaged or truncated, or its voxels are no grey levels.
    """
    header, packed = _header(path)
    shape, dtype = tuple(int(n) for n in header.get_data_shape()), header.get_data_dtype()
    stored = shape[::-1]
    if packed:
        with gzip.open(path) as stream:
            _skip(path, stream, int(header.get_data_offset()))
            array = inflated(path, stream, stored, dtype)
    else:
        array = mapped(path, int(header.get_data_offset()), stored, dtype)
    frame = _frame(header)
    letters = [*frame.axes, *STORED_AXES[3:]][: len(shape)] if len(shape) <= 5 else None
    layout = layout_of(path.name, stored, letters[::-1] if letters else None, reading)
    edges, origin, why = placed(frame, layout, UNITS.get(header.get_xyzt_units()[0]), "NIfTI affine")
    if _contradicts(header, frame):
        edges = Edges(unused=("NIfTI pixdim and affine contradict each other",))
    voxels: Any = viewed(array, layout)
    notes = [NOTE] if packed else []
    slope, inter = _scaling(header)
    if (slope, inter) != (1, 0):
        voxels = _Scaled(voxels, slope, inter)
        notes.append(f"grey values are scaled by {slope:g} and moved by {inter:g}, as scl_slope and scl_inter say")
    return Source(
        voxels,
        "NIfTI",
        layout.axes,
        stored,
        dtype,
        edges=edges,
        origin=origin,
        origin_from="NIfTI affine" if any(origin) else "",
        notes=(*notes, *why, *dtype_notes(dtype)),
    )


def _header(path: Path) -> tuple[Any, bool]:
    """The header, and whether the file is compressed, whatever its name."""
    import nibabel

    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            first = stream.read(4)
            kind = nibabel.Nifti2Header if _is_second(first) else nibabel.Nifti1Header
            stream.seek(0)
            header = kind.from_fileobj(stream)
        shape, dtype, _ = header.get_data_shape(), header.get_data_dtype(), header.get_slope_inter()
    except Exception as error:  # the library raises many kinds on damaged files
        raise DataError(f"{path}: not a NIfTI file, or damaged ({' '.join(str(error).split())})") from error
    if bytes(header["magic"]).rstrip(b"\0")[:2] not in (b"n+", b"n+2"):
        raise DataError(f"{path}: a NIfTI header without voxels; save it as one file, .nii")
    if not shape or min(shape) < 1:
        raise DataError(f"{path}: damaged NIfTI header (shape {tuple(shape)})")
    if dtype.kind not in "uif":
        raise DataError(f"{path}: voxels of {dtype} are no grey levels; convert to one channel")
    return header, packed


def _is_second(first: bytes) -> bool:
    return int.from_bytes(first, "little") == 540 or int.from_bytes(first, "big") == 540


def _skip(path: Path, stream: Any, count: int) -> None:
    try:
        stream.seek(count)
    except (EOFError, OSError) as error:
        raise DataError(f"{path}: truncated or damaged ({error})") from error


def _frame(header: Any) -> Frame:
    """Directions of the sform or qform; of pixdim alone where there is neither."""
    if not (header["sform_code"] or header["qform_code"]):
        edges = [float(edge) for edge in header.get_zooms()[:3]]
        return Frame(np.diag([*edges, *[0.0] * 3][:3]), None)
    affine = header.get_best_affine()
    return Frame(affine[:3, :3].T, [float(n) for n in affine[:3, 3]])


class _Scaled:
    """Grey values as the header scales them."""

    def __init__(self, array: Array3D, slope: float, inter: float) -> None:
        self.array, self.slope, self.inter = array, slope, inter
        self.shape, self.dtype = array.shape, np.dtype(np.float32)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        values = np.asarray(self.array[index], dtype=np.float64)
        return np.asarray(values * self.slope + self.inter, dtype=np.float32)


def _contradicts(header: Any, frame: Frame) -> bool:
    """Whether the affine has other edges than pixdim."""
    zooms = np.asarray(header.get_zooms()[:3], dtype=np.float64)
    return len(zooms) == 3 and not np.allclose(zooms, frame.edges, rtol=TOLERANCE)


def _scaling(header: Any) -> tuple[float, float]:
    slope, inter = (None if n is None else float(n) for n in header.get_slope_inter())
    return (1.0 if slope is None else slope), (0.0 if inter is None else inter)
