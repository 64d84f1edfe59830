"""Volumes as `.npy` files and as folders of single sections."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.volume import Volume

SECTION_SUFFIXES = (".png", ".tif", ".tiff")


def open_npy(path: Path, dataset: str | None = None) -> Volume:
    """Open a `.npy` array as a memory map; the file does not say a voxel size."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not a .npy array, or truncated") from error
    return Volume(array, None, path.name)


def open_sections(path: Path, dataset: str | None = None) -> Volume:
    """Open a folder of grey PNG or TIFF sections, ordered by the last number in their names.

    Raises:
        DataError: If there are none, if two have the same number, or if one is not a grey image.
    """
    files = [p for p in path.iterdir() if p.suffix.lower() in SECTION_SUFFIXES]
    if not files:
        raise DataError(f"{path}: a folder without PNG or TIFF sections (and not a zarr array)")
    numbered: dict[int, Path] = {}
    for file in sorted(files):
        digits = re.findall(r"\d+", file.stem)
        if not digits:
            raise DataError(f"{file}: sections are ordered by the last number in their names, and here is none")
        if (number := int(digits[-1])) in numbered:
            raise DataError(f"{path}: {numbered[number].name} and {file.name} have the same section number")
        numbered[number] = file
    return Volume(_Sections([numbered[n] for n in sorted(numbered)]), None, path.name)


class _Sections:
    """Image files as sections of one array."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        first = read_section(files[0])
        self.shape = (len(files), *first.shape)
        self.dtype = first.dtype

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        sections = []
        for file in self.files[index[0]]:
            section = read_section(file)
            if section.shape != self.shape[1:] or section.dtype != self.dtype:
                raise DataError(
                    f"{file}: {section.shape} {section.dtype}, but the first section is {self.shape[1:]} {self.dtype}"
                )
            sections.append(section[index[1:]])
        return np.stack(sections)


def read_section(file: Path) -> NDArray[Any]:
    """One grey image, shape (y, x)."""
    try:
        if file.suffix.lower() == ".png":
            from PIL import Image

            with Image.open(file) as image:
                pixels = np.asarray(image)
        else:
            import tifffile

            pixels = tifffile.imread(file)
    except Exception as error:  # decoders raise anything on damaged files
        raise DataError(f"{file}: damaged or not an image") from error
    if pixels.ndim != 2:
        raise DataError(f"{file}: shape {pixels.shape} is not a grey section; convert colour images to grey")
    return pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels  # Pillow reads 16-bit PNG as int32
