"""Volumes in HDF5 files: CREMI, FIB-25 samples, ilastik exports and the like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError, unknown
from vemrecon.volume.attributes import NAMES, meant_for, place_of
from vemrecon.volume.layout import dtype_notes, layout_of, viewed
from vemrecon.volume.made import KEY, recall
from vemrecon.volume.named_files import beside
from vemrecon.volume.reading import Reading
from vemrecon.volume.source import Source
from vemrecon.volume.stored import hdf5_stored

USUAL_NAMES = ("raw", "volumes/raw")
LINKS = 16  # that are followed one after the other; a circle of links has no end
FILTERS = {32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32026: "blosc2"}


def open_hdf5(path: Path, dataset: str | None, reading: Reading) -> Source:
    """Open one dataset of an HDF5 file.

    Voxel size and origin are attributes of the dataset or of its group (see `attributes`). Axes are
    those of `axistags`, or the labels of dimensions.

    Raises:
        DataError: If the file is no HDF5 file, is truncated, holds no such dataset, or its voxels are elsewhere.
    """
    array = open_dataset(path, dataset)
    _require_filters(path, array)
    layout = layout_of(path.name, array.shape, _axes(array), reading)
    place = place_of(_attributes(array), _above(array), layout)
    ours = recall(array.attrs.get(KEY), array.dtype)
    return Source(
        viewed(array, layout),
        "HDF5",
        layout.axes,
        tuple(array.shape),
        array.dtype,
        dataset=array.name.strip("/"),
        stored=hdf5_stored(array, Path(array.file.filename).parent, layout),
        edges=place.edges,
        origin=place.origin or (0.0, 0.0, 0.0),
        origin_from=place.origin_from,
        intensity_range=ours.intensity_range,
        grid=ours.grid,
        made=ours.made,
        notes=dtype_notes(array.dtype),
    )


def _axes(array: Any) -> list[str] | None:
    """Names of axes: vigra's (ilastik writes them), or labels of dimensions."""
    with suppress(ValueError, KeyError, TypeError):
        tags = json.loads(array.attrs["axistags"])["axes"]
        if len(tags) == array.ndim:
            return [str(tag["key"]) for tag in tags]
    labels = [dimension.label for dimension in array.dims]
    return labels if labels and all(labels) else None


def _above(array: Any) -> Mapping[str, Any]:
    """Attributes of the group of a dataset, where they can only be meant for it."""
    import h5py

    group = array.parent
    own = (name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink))  # links lead anywhere
    return meant_for(
        array, _attributes(group), (item for item in map(group.get, own) if isinstance(item, h5py.Dataset))
    )


def _attributes(node: Any) -> dict[str, Any]:
    return {name: node.attrs[name] for name in NAMES if name in node.attrs}


def open_dataset(path: Path, dataset: str | None = None) -> Any:
    """The h5py dataset of this name, or by default `raw`, `volumes/raw`, or the only 3D one; links are followed.

    Raises:
        DataError: If there is none, or its voxels lie outside the folder of the file.
    """
    file = _opened(path)
    if dataset is not None:
        found = _find(path, file, dataset.strip("/"))
        if found is None:
            raise DataError(f"{path}: {unknown('dataset', dataset, dict(_datasets(path, file)))}")
        return _safe(path, found)
    for name in USUAL_NAMES:
        if (found := _find(path, file, name)) is not None:
            return _safe(path, found)
    named = dict(_datasets(path, file))
    volumes = {name: item for name, item in named.items() if sum(n > 1 for n in item.shape) >= 3 or item.ndim == 3}
    different = {(item.file.filename, item.id.get_offset(), item.name): item for item in volumes.values()}
    if len(different) == 1:
        return _safe(path, next(iter(different.values())))
    raise DataError(f"{path}: {len(different)} datasets are 3D; say which one ({', '.join(sorted(named)) or 'none'})")


def _opened(path: Path) -> Any:
    import h5py

    with suppress(ImportError):
        import_module("hdf5plugin")  # registers further compressions
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = "truncated" if "truncated" in str(error) else "not an HDF5 file, or damaged"
        raise DataError(f"{path}: {reason}") from error


def _find(path: Path, file: Any, name: str) -> Any:
    """The dataset of a name, through links of every kind; None if there is none."""
    import h5py

    node = _node(path, file, name, LINKS)
    return node if isinstance(node, h5py.Dataset) else None


def _node(path: Path, start: Any, name: str, links: int) -> Any:
    import h5py

    node = start
    for part in filter(None, name.split("/")):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None or links < 1:
            return None
        if isinstance(link, h5py.SoftLink):
            node = _node(path, node.file if link.path.startswith("/") else node, link.path, links - 1)
        elif isinstance(link, h5py.ExternalLink):
            other = beside(path, link.filename, f"'{name}' is a link to")
            node = _node(other, _opened(other), link.path, links - 1)
        else:
            node = node[part]
    return node


def _datasets(path: Path, group: Any, before: str = "", above: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All datasets by name, those behind links too where these lead anywhere."""
    import h5py

    if group in above or len(above) > LINKS:
        return
    for part in group:
        try:
            node = _node(path, group, part, LINKS)
        except DataError:  # said when it is asked for
            continue
        name = f"{before}{part}"
        if isinstance(node, h5py.Dataset):
            yield name, node
        elif isinstance(node, h5py.Group):
            yield from _datasets(Path(node.file.filename), node, f"{name}/", (*above, group))


def _safe(path: Path, dataset: Any) -> Any:
    """The dataset; one with raw external storage only if that lies in the folder of the file.

    Raises:
        DataError: If it lies elsewhere, or is too short.
    """
    import h5py

    owner = Path(dataset.file.filename)
    if not dataset.external:
        return dataset
    for name, offset, size in dataset.external:
        file = beside(owner, name, "its voxels are in")
        end = offset + (dataset.size * dataset.dtype.itemsize if size == h5py.h5f.UNLIMITED else size)
        if file.stat().st_size < end:
            raise DataError(f"{path}: its voxels are in {name}, which is too short for them")
    file, name = dataset.file.id, dataset.name.encode()
    dataset.id._close()  # HDF5 keeps where it looks for raw files as long as a dataset is open
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_efile_prefix(b"${ORIGIN}")  # not the working folder, where HDF5 would look
    return h5py.Dataset(h5py.h5d.open(file, name, access))


def _require_filters(path: Path, dataset: Any) -> None:
    """Refuse compressions that this h5py does not have.

    Raises:
        DataError: With what to install.
    """
    import h5py

    facts = dataset.id.get_create_plist()
    for number in range(facts.get_nfilters()):
        code = facts.get_filter(number)[0]
        if not h5py.h5z.filter_avail(code):
            name = FILTERS.get(code, f"filter {code}")
            raise DataError(f"{path}: is compressed with {name}, which needs `pip install hdf5plugin`")
