"""Multi-page TIFF stacks, one section a page."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.volume.imagej import imagej_description
from vemrecon.volume.layout import Layout, dtype_notes, layout_of, native, viewed
from vemrecon.volume.made import Made, recall
from vemrecon.volume.quantise import intensity_range_of, quantise
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source, Stored
from vemrecon.volume.stored import whole_runs
from vemrecon.volume.tiff_page import PALETTE, grey_page, page_photometric, turned
from vemrecon.volume.tiff_place import told_by
from vemrecon.volume.unfinished import unfinished_file
from vemrecon.volume.volume import Origin, Span, Volume

PAGE_CACHE_BYTES = 128 << 20
DESCRIPTION_TAG, SPARE_TAG = 270, 271


def open_tiff(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a multi-page TIFF; `told_by` says where voxel size and origin come from.

    Args:
        path: Of the file.
        dataset: Number of an image (a series), where the file holds several.
        reading: What the user says about the file.

    Raises:
        DataError: If the file is truncated, is a single 2D image, or is in colour. Grey pages that were saved as RGB or
            RGBA are read; every page is checked for this.
    """
    file, pages = _opened(path)
    series = _series(path, file.series, dataset)
    keyframe = series.keyframe
    samples = keyframe.samplesperpixel
    axes, shape = _named_axes(series)
    if samples != 1 and (len(shape) != 3 or len(series.pages) != shape[0]):
        raise DataError(f"{path}: a colour image ({samples} channels); convert it to grey first")
    layout = layout_of(path.name, shape, axes, reading)
    photometric = page_photometric(keyframe)
    contiguous = series.dataoffset is not None and len(pages) < math.prod(shape[:-2])  # ImageJ: one page for a stack
    if contiguous:
        _require_inside(path, [series.dataoffset + series.size * series.dtype.itemsize], shape)
        dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        stack = np.memmap(path, dtype, "r", series.dataoffset, shape)
        array: Any = viewed(stack, layout) if not photometric else _Turned(path, viewed(stack, layout), keyframe)
        stored = Stored("pages", shape[layout.axes.index("z")], 0)
    else:
        wanted = _pages_of(path, series, shape, layout)
        array = _Pages(path, wanted, (len(wanted), *shape[-2:]))
        stored = _stored(path, wanted)
    if samples != 1:
        array[0:1, 0:1, 0:1]  # refuses a colour image now
    told = told_by(file, keyframe, int(dataset or 0))
    ours = recall(told.description, np.dtype(series.dtype))
    notes = (f"{photometric}: turned, so that black is the lowest grey level",) if photometric else ()
    return Source(
        array,
        told.format,
        layout.axes,
        tuple(shape),
        np.dtype(series.dtype).newbyteorder(file.byteorder),
        dataset=dataset or "",
        stored=stored,
        edges=told.edges,
        origin=told.origin or (0.0, 0.0, 0.0),
        origin_from=f"{told.format} metadata" if told.origin or told.zero else "",
        zero=told.zero,
        photometric=photometric,
        intensity_range=_bits_range(keyframe) or ours.intensity_range,
        grid=ours.grid,
        made=ours.made,
        notes=(*notes, *dtype_notes(series.dtype)),
    )


def _opened(path: Path) -> tuple[Any, list[Any]]:
    """The file and its pages.

    Raises:
        DataError: If it is damaged.
    """
    import tifffile

    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(complaints)
    try:
        file = tifffile.TiffFile(path)
        pages = list(file.pages)
        assert file.series[0].keyframe is file.series[0].keyframe  # is worked out here, where complaints are heard
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise DataError(f"{path}: not a TIFF file, or truncated") from error
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagate
    if complaints.texts:
        raise DataError(f"{path}: truncated or damaged TIFF ({complaints.texts[0]})")
    return file, pages


def _series(path: Path, series: Sequence[Any], dataset: str | None) -> Any:
    """The image of a number, or the only one.

    Raises:
        DataError: If there is none, or there are several and none is named.
    """
    if dataset is None and len(series) > 1:
        shapes = ", ".join(f"{n}: {' x '.join(map(str, one.shape))}" for n, one in enumerate(series[:6]))
        raise DataError(
            f"{path}: holds {len(series)} images, or pages of different sizes ({shapes}); say which one, such as "
            f"--dataset 0"
        )
    number = dataset or "0"
    if not number.isdigit() or int(number) >= len(series):
        raise DataError(f"{path}: --dataset {dataset}: images of a TIFF file have numbers, here 0 to {len(series) - 1}")
    return series[int(number)]


def _named_axes(series: Any) -> tuple[list[str], tuple[int, ...]]:
    """Axes and their lengths, without samples of a pixel; pages of which nobody says what they count are sections."""
    pairs = [(axis.lower(), n) for axis, n in zip(series.axes, series.shape, strict=True) if axis != "S"]
    if "z" not in [axis for axis, _ in pairs]:
        unnamed = [axis for axis, n in pairs if axis in "iq" and n > 1] or [axis for axis, _ in pairs if axis in "iq"]
        pairs = [("z" if [axis] == unnamed else axis, n) for axis, n in pairs]
    return [axis for axis, _ in pairs], tuple(n for _, n in pairs)


def _pages_of(path: Path, series: Any, shape: tuple[int, ...], layout: Layout) -> list[Any]:
    """The pages that are sections of the volume, in their order."""
    if layout.axes[-2:] != "yx":
        raise DataError(f"{path}: axes {layout.axes}; the last two of a TIFF file, those of its pages, must be y and x")
    if series.keyframe.imagedepth > 1:
        raise DataError(f"{path}: pages that hold several sections are not read; save one section a page")
    count = math.prod(shape[:-2])
    if len(series.pages) < count:
        raise DataError(f"{path}: truncated or damaged TIFF ({len(series.pages)} pages where {count} should be)")
    numbers = np.arange(count).reshape(shape[:-2])
    chosen = numbers[tuple(slice(None) if at is None else at for at in layout.at[:-2])]
    return [series.pages[int(n)] for n in chosen]


def _stored(path: Path, pages: list[Any]) -> Stored:
    """Pages whose data are there; a page without data is written by some programs where all is black."""
    there, ends = [], []
    for z, page in enumerate(pages):
        counts = page.databytecounts if page is not None else (0,)
        if counts and 0 not in counts:
            there.append((z, z + 1, 1))
        ends += [o + n for o, n in zip(page.dataoffsets, counts, strict=True)] if page is not None else []
    _require_inside(path, ends or [0], (len(pages),))
    lacking = len(pages) - len(there)
    return Stored("pages", len(pages), lacking, whole=whole_runs(there, len(pages), 1) if lacking else ())


def _require_inside(path: Path, ends: list[int], shape: tuple[int, ...]) -> None:
    if max(ends) > path.stat().st_size:
        raise DataError(f"{path}: truncated or damaged TIFF (the data of {shape[0]} sections do not fit into the file)")


def _bits_range(keyframe: Any) -> tuple[float, float] | None:
    """The range of samples that have fewer bits than their type, such as 12."""
    bits, dtype = keyframe.bitspersample, np.dtype(keyframe.dtype)
    return (0.0, 2.0**bits - 1) if dtype.kind == "u" and 1 < bits < 8 * dtype.itemsize else None


def write_tiff(
    path: Path, volume: Volume, dtype: np.dtype[Any], span: Span | None = None, made: Made | None = None
) -> None:
    """Write a volume as OME-TIFF, section by section, under a temporary name until it is complete.

    The origin is kept as the position of every plane; grid, grey range and how it was made in the description of the
    image. A second description is that of ImageJ, whose plain *Open* reads no OME metadata.

    Raises:
        OutputError: If the file cannot be written.
    """
    import tifffile

    metadata: dict[str, Any] = {"axes": "ZYX"}
    size = volume.voxel_size
    if size is not None:
        for axis, edge in zip("ZYX", size, strict=True):
            metadata |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "nm"}
        if any(volume.origin):
            metadata["Plane"] = _plane_positions(volume.origin, size.z, volume.shape[0])
    metadata["Description"] = (made or Made()).text(volume, dtype, span)
    shown = imagej_description(volume, span or intensity_range_of(dtype))

    def sections() -> Iterator[NDArray[Any]]:
        for slab in volume.slabs():
            yield from quantise(volume.read(slab), dtype, span)

    with unfinished_file(path, ".ome.tif") as temporary:
        tifffile.imwrite(
            temporary, sections(), shape=volume.shape, dtype=dtype, photometric="minisblack", compression="zlib",
            metadata=metadata, ome=True, bigtiff=volume.whole.voxels * dtype.itemsize > 2**31,
            resolution=(1 / size.x, 1 / size.y) if size else None, resolutionunit="none",
            extratags=[(SPARE_TAG, "s", 0, shown, True)],
        )  # fmt: skip
        _second_description(temporary)


def _second_description(path: Path) -> None:
    """Make the spare tag of the first page an ImageDescription, which tifffile does not write twice."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        place, order = file.pages.first.tags[SPARE_TAG].offset, file.byteorder
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(np.array(DESCRIPTION_TAG, f"{order}u2").tobytes())


class _Pages:
    """Pages as sections; the last ones read stay in memory, because tiles ask for the same pages again."""

    def __init__(self, path: Path, pages: Sequence[Any], shape: tuple[int, ...]) -> None:
        self.path, self.pages, self.shape = path, pages, shape
        self.dtype = native(pages[0].dtype)
        if pages[0].keyframe.photometric == PALETTE:
            self.dtype = np.dtype(np.uint8)
        self.cache: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self.room = max(1, PAGE_CACHE_BYTES // (shape[1] * shape[2] * self.dtype.itemsize))

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        return np.stack([self._page(z)[index[1:]] for z in range(self.shape[0])[index[0]]])

    def _page(self, z: int) -> NDArray[Any]:
        if z not in self.cache:
            page = self._grey(z)
            if page is None:
                raise DataError(f"{self.path}: page {z} is a colour image; convert it to grey first")
            if page.shape != self.shape[1:]:
                raise DataError(f"{self.path}: page {z} has shape {page.shape}, the first page {self.shape[1:]}")
            self.cache[z] = page.astype(self.dtype, copy=False)
            if len(self.cache) > self.room:
                self.cache.popitem(last=False)
        self.cache.move_to_end(z)
        return self.cache[z]

    def _grey(self, z: int) -> NDArray[Any] | None:
        """Grey values of a page, without its alpha channel; None if its colour channels differ."""
        page = self.pages[z]
        if page is None:
            return np.zeros(self.shape[1:], self.dtype)
        pixels = grey_page(f"{self.path}: page {z}", page)
        if page.keyframe.samplesperpixel == 1:
            return np.reshape(pixels, pixels.shape[-2:]) if pixels.ndim > 2 and 1 in pixels.shape else pixels
        channels = np.moveaxis(pixels, page.keyframe.axes.index("S"), 0)
        colours = channels[:3] if len(channels) > 2 else channels[:1]  # two channels are grey and alpha
        return np.ascontiguousarray(colours[0]) if (colours == colours[0]).all() else None


class _Turned:
    """A stack in one piece, of which the lowest grey level is white."""

    def __init__(self, path: Path, array: Any, keyframe: Any) -> None:
        self.array, self.path, self.bits = array, path, keyframe.bitspersample
        self.shape, self.dtype = array.shape, native(array.dtype)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        return turned(str(self.path), np.asarray(self.array[index]), self.bits)


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
