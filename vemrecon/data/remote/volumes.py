"""Chunked volumes behind an address, read as arrays (z, y, x): neuroglancer's precomputed, zarr 2 and 3, N5.

What a zarr or N5 array says about itself is read by the readers of files on this machine, from a copy of its metadata.
Sources: the format description "precomputed" of the neuroglancer project; specifications of zarr, OME-NGFF and N5.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.card import Box
from vemrecon.data.remote.connection import PATIENT, DroppedError, Patience, RefusedError, one_line_reasons
from vemrecon.errors import ConfigError, DataError, VemreconError
from vemrecon.files import make_folder
from vemrecon.volume import Reading, Region, VoxelSize, open_source
from vemrecon.volume.layout import layout_of, viewed
from vemrecon.volume.region import Triple, triple
from vemrecon.volume.tensorstores import SECONDS, StoredArray, reason_of, upright
from vemrecon.volume.volume import Origin

CACHE_BYTES = 256 << 20  # chunks of the source that reach into several blocks
RETRIES = {"max_retries": 5, "initial_delay": "500ms", "max_delay": "8s"}
METADATA = {"zarr": (".zarray", ".zattrs", ".zgroup"), "zarr3": ("zarr.json",), "n5": ("attributes.json",)}
"""Files that say what an array, or the group that it is in, is."""
MOST_METADATA = 16 << 20  # bytes


@dataclass(frozen=True)
class RemoteVolume:
    """A volume behind an address; nothing but metadata is read before `read`.

    Attributes:
        box: Where it is.
        array: Indexed by slices along z, y, x from 0.
        first: Number of its first voxel (z, y, x), as boxes are counted.
        shape: (z, y, x).
        dtype: Of the voxels.
        voxel_size: In nm; None where the volume does not say any.
        origin: In nm, (z, y, x), of the voxel that boxes count as 0: as volumes on this machine have it.
        face: In nm, likewise, of the low corner of that voxel.
    """

    box: Box
    array: Any
    first: Triple
    shape: Triple
    dtype: np.dtype[Any]
    voxel_size: VoxelSize | None
    origin: Origin
    face: Origin

    @property
    def region(self) -> Region:
        """The whole volume, as boxes are counted."""
        return Region.whole(self.shape).shifted(self.first)

    def read(self, region: Region) -> NDArray[Any]:
        """Voxels of a region, as boxes are counted.

        Raises:
            DataError: If they cannot be had.
        """
        return np.asarray(_had(self.box, lambda: self.array[region.relative_to(self.first).slices]))


def open_remote(box: Box, *, fill: bool, patience: Patience = PATIENT) -> RemoteVolume:
    """Open the volume that a box is a part of.

    Args:
        box: Where it is.
        fill: Whether chunks that are not stored are read as the fill value, as of labels; else reading fails.
        patience: How long to wait for metadata.

    Raises:
        ConfigError: If tensorstore is missing.
        DataError: If it cannot be read, or is no volume.
    """
    try:
        import tensorstore
    except ImportError as error:
        raise ConfigError(
            "boxes of remote volumes are read by tensorstore; install it: pip install 'vemrecon[precomputed]'"
        ) from error
    driver = "neuroglancer_precomputed" if box.format == "precomputed" else box.format
    folder = "/".join(part for part in (box.url.rstrip("/"), box.dataset.strip("/")) if part)
    spec: dict[str, Any] = {
        "driver": driver,
        "kvstore": {"driver": "http", "base_url": f"{folder}/"},
        "fill_missing_data_reads": fill,
        "recheck_cached_data": False,
        "context": {"cache_pool": {"total_bytes_limit": CACHE_BYTES}, "http_request_retries": RETRIES},
    }
    if box.format == "precomputed":
        spec["scale_index"] = box.mip
    store = _had(box, lambda: tensorstore.open(spec, open=True, read=True).result(timeout=SECONDS))
    return _precomputed(box, store) if box.format == "precomputed" else _array(box, store, folder, patience)


def _precomputed(box: Box, store: Any) -> RemoteVolume:
    """Axes x, y, z and channel; voxel `n` along an axis reaches from `n` to `n + 1` times its edge."""
    first, edges = triple(store.domain.inclusive_min[2::-1]), store.dimension_units[2::-1]
    if store.shape[3] != 1:
        raise DataError(f"{box.url}: {store.shape[3]} channels; volumes of grey levels or labels have one")
    known = all(unit is not None and unit.base_unit == "nm" for unit in edges)
    size = VoxelSize(*(unit.multiplier for unit in edges)) if known else None
    array = StoredArray(upright(store)[0])  # channel, z, y, x
    nowhere = (0.0, 0.0, 0.0)
    return RemoteVolume(box, array, first, triple(array.shape), array.dtype, size, nowhere, nowhere)


def _array(box: Box, store: Any, folder: str, patience: Patience) -> RemoteVolume:
    """An array of zarr or N5; a place that it states is that of the centre of its first voxel, as OME-NGFF has it."""
    array = StoredArray(upright(store) if box.format == "n5" else store)  # N5 counts the first axis fastest
    group, _, name = folder.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="vemrecon-") as temporary:
        copy = Path(temporary) / ("copy.n5" if box.format == "n5" else "copy.zarr")
        for where, address in ((copy, group), (copy / name, folder)):
            for file in METADATA[box.format]:
                _copied(box, f"{address}/{file}", where / file, patience)
        if box.format == "zarr" and not (copy / ".zgroup").exists():
            (copy / ".zgroup").write_text('{"zarr_format": 2}', encoding="utf-8")
        try:
            said = open_source(copy, name, Reading(missing="fill"))
            layout = layout_of(f"{box.url}/{box.dataset}", array.shape, list(said.axes), Reading())
        except VemreconError as error:
            raise DataError(f"{folder}: {str(error).replace(str(copy), 'its metadata')}") from error
    seen = viewed(array, layout)
    size, there = said.edges.size, said.origin
    low = triple_of_nm([at - edge / 2 for at, edge in zip(there, size or (0.0, 0.0, 0.0), strict=True)])
    return RemoteVolume(box, seen, (0, 0, 0), triple(seen.shape), np.dtype(seen.dtype), size, there, low)


def triple_of_nm(values: list[float]) -> Origin:
    """Three lengths."""
    z, y, x = values
    return z, y, x


def _copied(box: Box, address: str, path: Path, patience: Patience) -> None:
    """Copy a small file; nothing where there is none."""
    import requests

    try:
        with one_line_reasons(patience):
            answer = requests.get(address, timeout=(patience.connect_seconds, patience.read_seconds), stream=True)
            if answer.status_code in (403, 404):  # buckets that nobody may list say 403 of what is not there
                return
            if answer.status_code != 200:
                raise RefusedError(f"HTTP {answer.status_code}")
            body = answer.raw.read(MOST_METADATA, decode_content=True)
    except (DroppedError, RefusedError) as error:
        raise _unreadable(box, str(error)) from error
    make_folder(path.parent)
    path.write_bytes(body)


def _had(box: Box, ask: Callable[[], Any]) -> Any:
    """What tensorstore gives.

    Raises:
        DataError: If it cannot be had; tensorstore has errors of many types.
    """
    try:
        return ask()
    except Exception as error:
        raise _unreadable(box, reason_of(error)) from error


def _unreadable(box: Box, reason: str) -> DataError:
    where = f"mip {box.mip}" if box.format == "precomputed" else box.dataset or "this address"
    return DataError(
        f"{box.url}: cannot be read at {where} ({reason}); see whether address and connection are right, and try again"
    )
