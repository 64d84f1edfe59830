"""Volumes as folders of single sections."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.layout import dtype_notes, native
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source, Stored
from vemrecon.volume.stored import whole_runs
from vemrecon.volume.tiff_page import grey_page, page_photometric, through_palette
from vemrecon.volume.tiff_place import told_by

SECTION_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
LOSSY, TIFF = (".jpg", ".jpeg"), (".tif", ".tiff")

MOST_PIXELS = 1 << 32


def open_sections(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a folder of grey PNG, TIFF or JPEG sections, ordered by the number that varies in their names.

    Hidden files (as Macs leave them) and images without a number are no sections. Where numbers are left out, sections
    are missing; their places stay, black.

    Raises:
        DataError: If there are none, if two have the same number, or if one is not a grey image.
    """
    images = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SECTION_SUFFIXES and p.name[0] != "."]
    files = [p for p in images if re.search(r"\d", p.stem)]
    if not images:
        raise DataError(f"{path}: a folder without PNG, TIFF or JPEG sections (and not of another format)")
    if not files:
        raise DataError(f"{images[0]}: sections are ordered by a number in their names, and here is none")
    others = [p.name for p in images if p not in files]
    notes = [f"{', '.join(others)}: no number in the name, so not a section"] if others else []
    numbered = _numbered(path, files)
    places, stored = _places(sorted(numbered))
    array = _Sections({place: numbered[number] for place, number in zip(places, sorted(numbered), strict=True)})
    photometric = _photometric(files[0])
    if photometric:
        notes.append(f"{photometric}: turned, so that black is the lowest grey level")
    lossy = [file for file in files if file.suffix.lower() in LOSSY]
    if lossy:
        notes.append(f"{len(lossy)} of {len(files)} sections are JPEG: lossy, which blurs and makes blocks")
    return Source(
        array,
        "folder of sections",
        "zyx",
        array.shape,
        array.stored_dtype,
        stored=stored,
        edges=_edges([numbered[number] for number in sorted(numbered)]),
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
    runs = whole_runs(((place, place + 1, 1) for place in places), expected, 1) if missing else ()
    return places, Stored("sections", expected, missing, where if missing else "", runs)


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
        pixels = _tiff(file) if file.suffix.lower() in TIFF else _picture(file)
    except DataError:
        raise
    except Exception as error:  # decoders raise anything on damaged files
        raise DataError(f"{file}: damaged or not an image") from error
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 3, 4):  # grey that was saved in colour, or with alpha
        colours = pixels[..., :3] if pixels.shape[-1] > 2 else pixels[..., :1]
        pixels = colours[..., 0] if (colours == colours[..., :1]).all() else pixels
    if pixels.ndim != 2:
        raise DataError(f"{file}: shape {pixels.shape} is not a grey section; convert colour images to grey")
    return pixels


def _picture(file: Path) -> NDArray[Any]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # sections are larger than what Pillow takes for an attack
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


def _edges(files: list[Path]) -> Edges:
    """Edges of pixels as TIFF sections say them; none where the first and the last contradict each other."""
    first, last = _edges_in(files[0]), _edges_in(files[-1])
    if not first.differ_from(last):
        return first
    said = f"{files[0].name} says pixels of {first}, {files[-1].name} {last}"
    return Edges(unused=(f"sections contradict each other: {said}",))


def _edges_in(file: Path) -> Edges:
    if file.suffix.lower() not in TIFF:
        return UNKNOWN
    import tifffile

    try:
        with tifffile.TiffFile(file) as image:
            return told_by(image, image.pages[0]).edges
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise DataError(f"{file}: damaged or not an image") from error


def _photometric(file: Path) -> str:
    if file.suffix.lower() not in TIFF:
        return ""
    import tifffile

    with tifffile.TiffFile(file) as image:
        return page_photometric(image.pages[0])
