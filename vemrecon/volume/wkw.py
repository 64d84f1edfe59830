"""Volumes in the webKnossos wrapper format (WKW): a folder of cubes, and the properties of its dataset.

Source: webknossos-wrap, "WKW file format"; datasource-properties.json of webKnossos.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError, unknown
from vemrecon.files import read_json
from vemrecon.volume.layout import Layout, dtype_notes, in_order, layout_of, viewed
from vemrecon.volume.lengths import edges_said
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source, Stored
from vemrecon.volume.stored import whole_runs
from vemrecon.volume.units import nm_per

PROPERTIES = "datasource-properties.json"
HEADER = "header.wkw"
FINEST = ("1", "1-1-1")


@dataclass(frozen=True)
class _Layer:
    """One magnification of a layer, and what the properties say; lists are x, y, z."""

    folder: Path
    magnification: tuple[int, int, int]
    start: tuple[int, int, int]
    """First voxel, in voxels of the magnification."""
    shape: tuple[int, int, int]
    edges: Sequence[float]
    nm: float | None


def open_wkw(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open a layer of a webKnossos dataset in magnification 1, or the folder of a magnification.

    Where the volume ends is said by the properties of the dataset alone: cubes are padded with black.

    Raises:
        DataError: If there is none, it holds labels, or the properties are missing.
    """
    import wkw

    layer = _layer(path, dataset)
    try:
        store = wkw.Dataset.open(str(layer.folder))
        header = store.header
    except Exception as error:  # the library has errors of its own, and asserts
        raise DataError(f"{path}: damaged {HEADER} ({error or type(error).__name__})") from error
    array = _Cubes(store, layer, header)
    layout = layout_of(path.name, array.shape, list("czyx"), reading)
    sides = [edge * by for edge, by in zip(layer.edges, layer.magnification, strict=True)]
    edges = edges_said(in_order(sides[::-1], layout) or (0.0, 0.0, 0.0), layer.nm, "webKnossos scale")
    at, size = in_order([float(n) for n in layer.start[::-1]], layout), edges.size
    z, y, x = (n * edge for n, edge in zip(at, size, strict=True)) if at and size else (0.0, 0.0, 0.0)
    return Source(
        viewed(array, layout),
        "webKnossos WKW",
        layout.axes,
        array.shape,
        array.dtype,
        dataset=f"{layer.folder.parent.name}/{layer.folder.name}",
        stored=_stored(layer, header.block_len * header.file_len, layout),
        edges=edges,
        origin=(z, y, x),
        origin_from="webKnossos bounding box" if any((z, y, x)) else "",
        notes=dtype_notes(array.dtype),
    )


class _Cubes:
    """Channels, z, y and x of a dataset, read on demand."""

    def __init__(self, store: Any, layer: _Layer, header: Any) -> None:
        self.store, self.start = store, layer.start
        self.shape = (int(header.num_channels), *layer.shape[::-1])
        self.ndim, self.dtype = 4, np.dtype(header.voxel_type)
        self.chunks = (self.shape[0], *[int(header.block_len)] * 3)

    def __getitem__(self, index: tuple[Any, slice, slice, slice]) -> NDArray[Any]:
        spans = [part.indices(n)[:2] for part, n in zip(index[:0:-1], self.shape[:0:-1], strict=True)]
        places = [start + low for start, (low, _) in zip(self.start, spans, strict=True)]
        voxels = self.store.read(places, [high - low for low, high in spans])
        return np.asarray(voxels.transpose(0, 3, 2, 1)[index[0]])


def _layer(path: Path, dataset: str | None) -> _Layer:
    """The magnification that is meant, with the facts of its layer."""
    name = (dataset or "").strip("/")
    if (path / PROPERTIES).is_file():
        names = [str(one.get("name")) for one in _grey_layers(path, read_json(path / PROPERTIES))]
        if not name and len(names) != 1:
            raise DataError(f"{path}: {len(names)} layers of grey levels; say which one ({', '.join(names)})")
        folder = path / (name or names[0])
    else:
        folder = path / name
    if not folder.resolve().is_relative_to(path.resolve()) or not folder.is_dir():
        raise DataError(f"{path}: no folder '{name}' inside")
    if not (folder / HEADER).is_file():
        folder = next((folder / one for one in FINEST if (folder / one / HEADER).is_file()), folder)
    if not (folder / HEADER).is_file():
        raise DataError(
            f"{path}: no {HEADER} in magnification 1; if the layer is zarr, name its folder of the magnification (1)"
        )
    return _of_properties(path, folder.resolve())


def _grey_layers(path: Path, facts: Any) -> list[Mapping[str, Any]]:
    layers = facts.get("dataLayers") if isinstance(facts, Mapping) else None
    if not isinstance(layers, list) or not all(isinstance(one, Mapping) for one in layers):
        raise DataError(f"{path}: damaged {PROPERTIES}")
    return [one for one in layers if one.get("category") != "segmentation"]


def _of_properties(path: Path, folder: Path) -> _Layer:
    """What the properties of the dataset say about the folder of a magnification."""
    file = folder.parent.parent / PROPERTIES
    if not file.is_file():
        raise DataError(
            f"{path}: no {PROPERTIES} two folders above {folder.name}, which says where the volume ends (cubes are "
            f"padded with black); put it there"
        )
    facts = read_json(file)
    grey = {str(one.get("name")): one for one in _grey_layers(path, facts)}
    if folder.parent.name not in grey:
        raise DataError(f"{path}: {unknown('layer of grey levels', folder.parent.name, grey)}")
    try:
        by = [int(n) for n in folder.name.split("-")]
        x, y, z = by * 3 if len(by) == 1 else by
        box = grey[folder.parent.name]["boundingBox"]
        first = [int(n) for n in box["topLeft"]]
        sides = [int(box[side]) for side in ("width", "height", "depth")]
        start = [a // n for a, n in zip(first, (x, y, z), strict=True)]
        stop = [-(-(a + side) // n) for a, side, n in zip(first, sides, (x, y, z), strict=True)]
        scale = facts["scale"]
        edges = [float(edge) for edge in (scale["factor"] if isinstance(scale, Mapping) else scale)]
        unit = str(scale.get("unit", "")).lower() if isinstance(scale, Mapping) else "nm"
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{path}: damaged {PROPERTIES} ({error!r})") from error
    i, j, k = start
    width, height, depth = (b - a for a, b in zip(start, stop, strict=True))
    return _Layer(folder, (x, y, z), (i, j, k), (width, height, depth), edges, nm_per(unit))


def _stored(layer: _Layer, edge: int, layout: Layout) -> Stored:
    """Cubes of the bounding box whose files are there."""
    z = 3 - layout.axes.index("z")  # among x, y, z
    low = [n // edge for n in layer.start]
    high = [-(-(n + side) // edge) for n, side in zip(layer.start, layer.shape, strict=True)]
    expected, layers = math.prod(b - a for a, b in zip(low, high, strict=True)), Counter[int]()
    for file in layer.folder.glob("z*/y*/x*.wkw"):
        words = (file.stem[1:], file.parent.name[1:], file.parent.parent.name[1:])
        if all(word.isdigit() for word in words):
            layers[int(words[z])] += all(a <= int(word) < b for a, word, b in zip(low, words, high, strict=True))
    start, count, need = layer.start[z], layer.shape[z], expected // (high[z] - low[z])
    pieces = ((max(0, n * edge - start), (n + 1) * edge - start, held) for n, held in layers.items() if held)
    missing = expected - layers.total()
    return Stored("cubes", expected, missing, whole=whole_runs(pieces, count, need) if missing else ())
