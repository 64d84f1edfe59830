"""Multi-page TIFF stacks, one section a page."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.files import output_error
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.region import Region, triple
from vemrecon.volume.volume import Origin, Volume, quantise
from vemrecon.volume.voxels import VoxelSize

PAGE_CACHE_BYTES = 128 << 20
NM_PER_UNIT = {"nm": 1.0, "nanometer": 1.0, "um": 1e3, "µm": 1e3, "\\u00b5m": 1e3, "micron": 1e3, "micrometer": 1e3,
               "mm": 1e6, "å": 0.1, "angstrom": 0.1}  # fmt: skip


def open_tiff(path: Path, dataset: str | None = None) -> Volume:
    """Open a multi-page TIFF; voxel size and origin come from OME or ImageJ metadata when these state a unit.

    Raises:
        DataError: If the file is truncated, is a single 2D image, or is in colour. Grey pages that were saved as RGB or
            RGBA are read; every page is checked for this.
    """
    import tifffile

    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(complaints)
    try:
        file = tifffile.TiffFile(path)
        pages = list(file.pages)
        series = file.series[0]
        keyframe = file.pages.first
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise DataError(f"{path}: not a TIFF file, or truncated") from error
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagate
    if complaints.texts:
        raise DataError(f"{path}: truncated or damaged TIFF ({complaints.texts[0]})")
    sides = [n for n, axis in zip(series.shape, series.axes, strict=True) if axis != "S"]  # S: red, green, blue, alpha
    shape = tuple(n for n in sides if n != 1) if len(sides) > 3 else tuple(sides)
    channels = keyframe.samplesperpixel
    if channels != 1 and (len(shape) != 3 or len(pages) != shape[0]):
        raise DataError(f"{path}: a colour image ({channels} channels); convert it to grey first")
    if len(shape) != 3:
        raise DataError(f"{path}: a 2D image or an array of shape {tuple(series.shape)}; a volume is a stack of pages")
    offset = series.dataoffset
    contiguous = offset is not None and len(pages) < shape[0]  # ImageJ writes one page for a whole stack
    size = path.stat().st_size
    ends = [o + n for page in pages for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if contiguous and offset is not None:
        ends = [offset + series.size * series.dtype.itemsize]
    if not ends or max(ends) > size or (not contiguous and len(pages) < shape[0]):
        raise DataError(f"{path}: truncated or damaged TIFF (the data of {shape[0]} sections do not fit into the file)")
    told = _told(file)
    if contiguous and offset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        array = _Native(np.memmap(path, dtype, "r", offset, shape))
        return Volume(array, told.voxel_size, path.name, told.grid, origin=told.origin)
    sections = _Pages(path, series.pages if len(series.pages) == shape[0] else pages, shape)
    volume = Volume(sections, told.voxel_size, path.name, told.grid, origin=told.origin)
    if channels != 1:
        volume.read_raw(Region((0, 0, 0), triple((1, *shape[1:]))))  # refuses a colour image now
    return volume


def write_tiff(
    path: Path, volume: Volume, dtype: np.dtype[Any], intensity_range: tuple[float, float] | None = None
) -> None:
    """Write a volume as OME-TIFF, section by section, under a temporary name until it is complete.

    The origin is kept as the position of every plane, the grid of sections in the description of the image.

    Raises:
        OutputError: If the file cannot be written.
    """
    import tifffile

    metadata: dict[str, Any] = {"axes": "ZYX"}
    if volume.voxel_size is not None:
        for axis, edge in zip("ZYX", volume.voxel_size, strict=True):
            metadata |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "nm"}
        if any(volume.origin):
            metadata["Plane"] = _plane_positions(volume.origin, volume.voxel_size.z, volume.shape[0])
    if volume.grid is not None:
        metadata["Description"] = json.dumps({"vemrecon": {"grid": volume.grid.as_dict()}})

    def sections() -> Iterator[NDArray[Any]]:
        for slab in volume.slabs():
            yield from quantise(volume.read(slab), dtype, intensity_range)

    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=".ome.tif.part")
        os.close(handle)
    except OSError as error:
        raise output_error(path, error) from error
    temporary = Path(name)
    try:
        tifffile.imwrite(
            temporary, sections(), shape=volume.shape, dtype=dtype, photometric="minisblack", compression="zlib",
            metadata=metadata, ome=True, bigtiff=volume.whole.voxels * dtype.itemsize > 2**31,
        )  # fmt: skip
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


class _Pages:
    """Pages as sections; the last ones read stay in memory, because tiles ask for the same pages again."""

    def __init__(self, path: Path, pages: Any, shape: tuple[int, ...]) -> None:
        self.path, self.pages, self.shape = path, pages, shape
        self.dtype = np.dtype(pages[0].dtype)
        self.cache: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self.room = max(1, PAGE_CACHE_BYTES // (shape[1] * shape[2] * self.dtype.itemsize))

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        return np.stack([self._page(z)[index[1:]] for z in range(self.shape[0])[index[0]]])

    def _page(self, z: int) -> NDArray[Any]:
        if z not in self.cache:
            page = _grey(self.pages[z])
            if page is None:
                raise DataError(f"{self.path}: page {z} is a colour image; convert it to grey first")
            if page.shape != self.shape[1:]:
                raise DataError(f"{self.path}: page {z} has shape {page.shape}, the first page {self.shape[1:]}")
            self.cache[z] = page
            if len(self.cache) > self.room:
                self.cache.popitem(last=False)
        self.cache.move_to_end(z)
        return self.cache[z]


def _grey(page: Any) -> NDArray[Any] | None:
    """Grey values of a page, without its alpha channel; None if its colour channels differ."""
    pixels: NDArray[Any] = page.asarray()
    if page.keyframe.samplesperpixel == 1:
        return pixels
    channels = np.moveaxis(pixels, page.keyframe.axes.index("S"), 0)
    colours = channels[:3] if len(channels) > 2 else channels[:1]  # two channels are grey and alpha
    return np.ascontiguousarray(colours[0]) if (colours == colours[0]).all() else None


class _Native:
    """A memory map that hands out voxels in the byte order of the machine."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype.newbyteorder("=")

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        return self.array[index].astype(self.dtype)


class _Complaints(logging.Handler):
    """Collects what tifffile only logs when it meets a damaged file."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _plane_positions(origin: Origin, step: float, count: int) -> dict[str, list[Any]]:
    """Of every plane, as OME-XML has it."""
    z, y, x = origin
    along = {"Z": [z + k * step for k in range(count)], "Y": [y] * count, "X": [x] * count}
    units: dict[str, list[Any]] = {f"Position{axis}Unit": ["nm"] * count for axis in along}
    return units | {f"Position{axis}": values for axis, values in along.items()}


@dataclass(frozen=True)
class _Told:
    """What a file says beside its voxels."""

    voxel_size: VoxelSize | None = None
    origin: Origin = (0.0, 0.0, 0.0)
    grid: SectionGrid | None = None


def _told(file: Any) -> _Told:
    if file.is_ome and file.ome_metadata:
        return _ome_told(file.ome_metadata)
    if file.is_imagej and file.imagej_metadata:
        meta = file.imagej_metadata
        unit = NM_PER_UNIT.get(str(meta.get("unit", "")).lower())
        tags = file.pages.first.tags
        if unit and "spacing" in meta and "XResolution" in tags and "YResolution" in tags:
            y, x = ((lambda r: r[1] / r[0])(tags[name].value) for name in ("YResolution", "XResolution"))
            size = VoxelSize(meta["spacing"] * unit, y * unit, x * unit)
            at = [-float(meta.get(f"{axis}origin", 0)) * edge for axis, edge in zip("zyx", size, strict=True)]
            return _Told(size, (at[0], at[1], at[2]))  # ImageJ keeps the voxel whose position is 0
    return _Told()


def _ome_told(xml: str) -> _Told:
    from xml.etree import ElementTree

    root = ElementTree.fromstring(xml)
    grid = next((_grid_in(node.text or "") for node in root.iter() if node.tag.endswith("}Description")), None)
    for pixels in root.iter():
        if pixels.tag.endswith("}Pixels"):
            edges = [_length(pixels, f"PhysicalSize{axis}", "µm") for axis in "ZYX"]
            size = VoxelSize(*(edge or 0 for edge in edges)) if all(edges) else None
            plane = next((node for node in pixels if node.tag.endswith("}Plane")), None)
            at = (
                [None] * 3
                if plane is None
                else [_length(plane, f"Position{axis}", "reference frame") for axis in "ZYX"]
            )
            z, y, x = (n or 0.0 for n in at)
            return _Told(size, (z, y, x), grid)
    return _Told(grid=grid)


def _length(node: Any, name: str, usual: str) -> float | None:
    """A length in nm; None if it is not there, or its unit is no length, such as the reference frame of a stage."""
    value, unit = node.get(name), NM_PER_UNIT.get(node.get(f"{name}Unit", usual).lower())
    return float(value) * unit if value and unit else None


def _grid_in(description: str) -> SectionGrid | None:
    """The grid in a description that `write_tiff` has made."""
    if not description.startswith('{"vemrecon"'):
        return None
    try:
        return SectionGrid.from_dict(json.loads(description)["vemrecon"]["grid"])
    except (ValueError, KeyError, TypeError):
        return None
