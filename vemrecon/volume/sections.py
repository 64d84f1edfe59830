"""Volumes as `.npy` files and as folders of single sections."""

from __future__ import annotations

import math
import re
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.source import Reading, Source, Stored, dtype_notes, layout_of, native, viewed
from vemrecon.volume.tiff_page import grey_page, page_photometric, through_palette

SECTION_SUFFIXES = (".png", ".tif", ".tiff")


def open_npy(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a `.npy` array as a memory map; the file does not say a voxel size."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of sizes that no number can hold
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, OverflowError, MemoryError) as error:
        raise DataError(f"{path}: not a .npy array, or truncated") from error
    layout = layout_of(path.name, array.shape, None, reading)
    return Source(viewed(array, layout), "npy", layout.axes, array.shape, array.dtype, notes=dtype_notes(array.dtype))


def open_sections(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a folder of grey PNG or TIFF sections, ordered by the number that varies in their names.

    Hidden files (as Macs leave them) and images without a number are no sections. Where numbers are left out, sections
    are missing; with `missing="fill"` they are black.

    Raises:
        DataError: If there are none, if two have the same number, or if one is not a grey image.
    """
    images = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SECTION_SUFFIXES and p.name[0] != "."]
    files = [p for p in images if re.search(r"\d", p.stem)]
    if not images:
        raise DataError(f"{path}: a folder without PNG or TIFF sections (and not a zarr array)")
    if not files:
        raise DataError(f"{images[0]}: sections are ordered by a number in their names, and here is none")
    others = [p.name for p in images if p not in files]
    notes = [f"{', '.join(others)}: no number in the name, so not a section"] if others else []
    numbered = _numbered(path, files)
    places, stored = _places(sorted(numbered))
    kept = {place: numbered[number] for place, number in zip(places, sorted(numbered), strict=True)}
    if reading.missing != "fill":
        kept = dict(enumerate(kept.values()))
    array = _Sections(kept)
    photometric = _photometric(files[0])
    if photometric:
        notes.append(f"{photometric}: turned, so that black is the lowest grey level")
    return Source(
        array,
        "folder of sections",
        "zyx",
        array.shape,
        array.stored_dtype,
        stored=stored,
        photometric=photometric,
        notes=(*notes, *dtype_notes(array.stored_dtype)),
    )


def _numbered(path: Path, files: list[Path]) -> dict[int, Path]:
    """Files by section number: the number in their names that differs in all of them.

    Raises:
        DataError: If two have the same number, or it cannot be known which number counts sections.
    """
    words = [re.split(r"(\d+)", file.stem) for file in files]
    alike = len({tuple(word[0::2]) for word in words}) == 1
    columns = [[int(n) for n in column] for column in zip(*(w[1::2] for w in words), strict=True)] if alike else []
    columns = [column for column in columns if len(set(column)) == len(files)] or [[int(w[-2]) for w in words]]
    orders = {tuple(np.argsort(column)) for column in columns}
    if len(orders) > 1:
        raise DataError(
            f"{path}: several numbers in the names differ from file to file ({files[0].name}), and put the sections in "
            f"different orders; leave only the section number in the names"
        )
    found: dict[int, Path] = {}
    for number, file in zip(columns[0], files, strict=True):
        if number in found:
            raise DataError(f"{path}: {found[number].name} and {file.name} have the same section number")
        found[number] = file
    return found


def _places(numbers: list[int]) -> tuple[list[int], Stored]:
    """Places of sections in the volume by their numbers, which may rise in steps, and how many are left out."""
    steps = [b - a for a, b in pairwise(numbers)]
    step = math.gcd(*steps) or 1
    places = [(number - numbers[0]) // step for number in numbers]
    gaps = [n for a, b in pairwise(numbers) for n in range(a + step, b, step)][:10]
    expected = places[-1] + 1
    missing = expected - len(numbers)
    where = f"{', '.join(map(str, gaps))}{' ...' if missing > len(gaps) else ''}: no file of these numbers"
    return places, Stored("sections", expected, missing, where if missing else "")


class _Sections:
    """Image files as sections of one array, at places; black where there is no file."""

    def __init__(self, files: dict[int, Path]) -> None:
        self.files = files
        first = read_section(files[0])
        self.stored_dtype = first.dtype
        self.shape = (max(files) + 1, *first.shape)
        self.dtype = native(first.dtype)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        return np.stack([self._section(z)[index[1:]] for z in range(self.shape[0])[index[0]]]).astype(self.dtype)

    def _section(self, z: int) -> NDArray[Any]:
        if z not in self.files:
            return np.zeros(self.shape[1:], self.dtype)
        section = read_section(self.files[z])
        if section.shape != self.shape[1:] or native(section.dtype) != self.dtype:
            raise DataError(
                f"{self.files[z]}: {section.shape} {section.dtype}, but the first section is {self.shape[1:]} "
                f"{self.dtype}"
            )
        return section


def read_section(file: Path) -> NDArray[Any]:
    """One grey image, shape (y, x), of which black is the lowest grey level.

    Raises:
        DataError: If it is damaged, in colour, or holds more than one image.
    """
    try:
        pixels = _png(file) if file.suffix.lower() == ".png" else _tiff(file)
    except DataError:
        raise
    except Exception as error:  # decoders raise anything on damaged files
        raise DataError(f"{file}: damaged or not an image") from error
    if pixels.ndim != 2:
        raise DataError(f"{file}: shape {pixels.shape} is not a grey section; convert colour images to grey")
    return pixels


def _png(file: Path) -> NDArray[Any]:
    from PIL import Image

    with Image.open(file) as image:
        pixels: NDArray[Any] = np.asarray(image)
        if image.mode == "P":
            palette = np.asarray(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
            return through_palette(str(file), pixels, palette.T)
        return pixels.astype(np.uint16) if image.mode == "I" else pixels  # how Pillow reads PNG of 16 bits


def _tiff(file: Path) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(file) as image:
        if len(image.pages) != 1:
            raise DataError(f"{file}: {len(image.pages)} pages; a section is one image")
        return grey_page(str(file), image.pages[0])


def _photometric(file: Path) -> str:
    if file.suffix.lower() == ".png":
        return ""
    import tifffile

    with tifffile.TiffFile(file) as image:
        return page_photometric(image.pages[0])
