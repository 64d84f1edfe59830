"""Volumes in N5 containers, whose lists of axes, sizes and places are in the order x, y, z.

Source: N5 specification; attributes of n5-viewer (pixelResolution), funlib (resolution, offset) and COSEM (transform).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from vemrecon.errors import DataError, unknown
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.layout import Layout, dtype_notes, in_order, layout_of, viewed
from vemrecon.volume.lengths import edges_said
from vemrecon.volume.made import KEY, recall
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source, Stored
from vemrecon.volume.stored import chunks_stored
from vemrecon.volume.tensorstores import StoredArray, local_store
from vemrecon.volume.units import nm_per
from vemrecon.volume.volume import Origin

ATTRIBUTES = "attributes.json"
USUAL_NAMES = ("raw", "volumes/raw")


def open_n5(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open one dataset of an N5 container; of an image in several levels the finest, `s0`.

    Raises:
        DataError: If there is none, or it is damaged.
    """
    name, folder = _chosen(path, dataset)
    own = _attributes(path, folder)
    store = local_store(path, folder, "n5", {}, reading.missing == "fill")
    array = StoredArray(store)
    layout = layout_of(path.name, array.shape, _axes(own, array.ndim), reading)
    said = _said(path, folder, own)
    edges, origin = _place(said, layout) if said else (UNKNOWN, (0.0, 0.0, 0.0))
    ours = recall(own.get(KEY), array.dtype)
    return Source(
        viewed(array, layout),
        "N5",
        layout.axes,
        array.shape,
        array.dtype,
        dataset=name,
        stored=_stored(folder, array, layout),
        edges=edges,
        origin=origin,
        origin_from=said.where if said and any(origin) else "",
        intensity_range=ours.intensity_range,
        grid=ours.grid,
        made=ours.made,
        notes=dtype_notes(array.dtype),
    )


def _attributes(path: Path, folder: Path) -> Mapping[str, Any]:
    file = folder / ATTRIBUTES
    if not file.is_file():
        return {}
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        return facts if isinstance(facts, Mapping) else {}
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: damaged N5 attributes in {folder} ({error})") from error


def _chosen(path: Path, dataset: str | None) -> tuple[str, Path]:
    """Name and folder of the dataset of a name, or of the only volume."""
    named = dict(_datasets(path, path))
    wanted = (dataset or "").strip("/")
    inside = {name: folder for name, folder in named.items() if not wanted or f"{name}/".startswith(f"{wanted}/")}
    if not inside:
        if dataset is not None:
            raise DataError(f"{path}: {unknown('dataset', dataset, named)}")
        raise DataError(f"{path}: no N5 container, or one without datasets")
    if wanted in inside:
        return wanted, inside[wanted]
    grey = {name: folder for name, folder in inside.items() if "labels" not in name.split("/")}
    inside = grey or inside
    for name in USUAL_NAMES:
        if not wanted and name in inside:
            return name, inside[name]
    levels = {name.rpartition("/")[0] for name in inside}
    if len(inside) > 1 and len(levels) == 1:
        for name, folder in inside.items():
            if name.rpartition("/")[2] == "s0":
                return name, folder
    if len(inside) > 1:
        raise DataError(f"{path}: {len(inside)} datasets; say which one with --dataset ({', '.join(sorted(inside))})")
    return next(iter(inside.items()))


def _datasets(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """All datasets by name; folders of their blocks are not looked into."""
    if "dimensions" in _attributes(path, folder):
        yield folder.relative_to(path).as_posix().replace(".", "", folder == path), folder
        return
    for below in sorted(folder.iterdir()):
        if below.is_dir() and not below.is_symlink():
            yield from _datasets(path, below)


def _axes(own: Mapping[str, Any], count: int) -> list[str] | None:
    """Names of axes in C order. Python writes lists of them in that order, Java in that of the file."""
    names = own.get("axes") or own.get("_ARRAY_DIMENSIONS")
    if not (isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names)):
        return list("zyx") if count == 3 else None
    return [name.lower() for name in (names if names[-1].lower() == "x" else names[::-1])]


class _Said(NamedTuple):
    """Lengths along x, y, z as stored, nm in their unit, and where they are said."""

    edges: Sequence[float]
    places: Sequence[float]
    nm: float | None
    where: str


def _said(path: Path, folder: Path, own: Mapping[str, Any]) -> _Said | None:
    """Voxel size and place, by the dataset itself or the group of its levels."""
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        facts = own["transform"]
        order = [str(axis).lower() for axis in facts["axes"]]
        at = [order.index(axis) for axis in "xyz"]
        places = facts.get("translate") or [0.0] * len(order)
        nm = _nm([str(facts["units"][n]) for n in at])
        return _Said([float(facts["scale"][n]) for n in at], [float(places[n]) for n in at], nm, "N5 transform")
    for facts, factors, of in ((own, [1.0] * 3, ""), _above(path, folder, own)):
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            pixel = facts["pixelResolution"]
            edges = [float(edge) * by for edge, by in zip(pixel["dimensions"], factors, strict=True)]
            return _Said(edges, [0.0] * 3, _nm([pixel["unit"]]), f"N5 pixelResolution{of}")
        with suppress(KeyError, TypeError, ValueError):
            edges = [float(edge) * by for edge, by in zip(facts["resolution"], factors, strict=True)]
            units: Any = facts.get("units") or facts.get("unit") or "nm"
            places = [float(place) for place in facts.get("offset") or [0.0] * 3]
            nm = _nm(units if isinstance(units, list) else [units])
            return _Said(edges, places, nm, f"N5 attribute resolution{of}")
    return None


def _above(path: Path, folder: Path, own: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[float], str]:
    """Attributes of the group of a level, and how many of its voxels one of the level is."""
    group = _attributes(path, folder.parent) if folder != path else {}
    factors = own.get("downsamplingFactors")
    level = folder.name[1:] if folder.name[:1] == "s" else ""
    scales = group.get("scales") or group.get("downsamplingFactors")
    if factors is None and level.isdigit() and isinstance(scales, list) and int(level) < len(scales):
        factors = scales[int(level)]
    if factors is None and folder.name != "s0":
        return {}, [1.0] * 3, ""
    return group, [float(factor) for factor in factors or [1.0] * 3], " of its group"


def _nm(units: Sequence[Any]) -> float | None:
    found = {nm_per(unit) for unit in units}
    return found.pop() if len(found) == 1 else None


def _place(said: _Said, layout: Layout) -> tuple[Edges, Origin]:
    edges = edges_said(in_order(said.edges[::-1], layout) or (0.0, 0.0, 0.0), said.nm, said.where)
    at = in_order(said.places[::-1], layout) if edges.size and said.nm else None
    z, y, x = (float(place) * (said.nm or 0) for place in at or (0.0, 0.0, 0.0))
    return edges, (z, y, x)


def _stored(folder: Path, array: StoredArray, layout: Layout) -> Stored:
    """Blocks whose files are there."""
    edges = array.chunks
    places = []
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts[::-1]  # x, y, z
        if len(parts) == array.ndim and all(part.isdigit() for part in parts) and file.is_file():
            place = tuple(map(int, parts))
            if all(n * edge < side for n, edge, side in zip(place, edges, array.shape, strict=True)):
                places.append(place)
    return chunks_stored(places, array.shape, edges, layout, unit="blocks")
