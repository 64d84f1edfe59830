"""Boxes of remote volumes in neuroglancer's precomputed format, copied to OME-Zarr.

Source: the format description "precomputed" of the neuroglancer project; it is read by tensorstore over plain https.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.data.card import DatasetFile, Precomputed
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import make_folder, output_error
from vemrecon.progress import Share
from vemrecon.volume import Region, VoxelSize
from vemrecon.volume.ome_zarr import create_zarr
from vemrecon.volume.tensorstores import SECONDS, reason_of
from vemrecon.volume.volume import GREY_DTYPES, moved

BLOCK = (64, 256, 256)  # voxels asked for at once; whole chunks of the output
CACHE_BYTES = 256 << 20  # chunks of the source that reach into several blocks
RETRIES = {"max_retries": 5, "initial_delay": "500ms", "max_delay": "8s"}
BLACK_SHARE = 0.01


def fetch_box(
    file: DatasetFile,
    path: Path,
    voxel_size: VoxelSize | None,
    progress: Share = lambda share: None,
) -> None:
    """Copy the box of a remote volume that a card names to an OME-Zarr folder, which appears when it is complete.

    The folder also keeps where the voxels come from and lie (its origin, in nm), the sha256 of the voxels (C order),
    and how many are black.

    Args:
        file: Of the card, with `precomputed`.
        path: Folder to make.
        voxel_size: What the card says, in nm; by default what the volume says.
        progress: Told the share that is done, from 0 to 1.

    Raises:
        ConfigError: If tensorstore is missing, or the file is no box of a remote volume.
        DataError: If the volume cannot be read, is not what the card says, or more than 1 % of the box are black.
        OutputError: If the folder cannot be written.
    """
    box = file.precomputed
    if box is None:
        raise ConfigError(f"{path.name}: the card names no box of a remote volume (`precomputed`) for it")
    store = _open(box)
    size = _checked(box, store, voxel_size)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _copy(box, store, temporary, size, progress)
        temporary.rename(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(box: Precomputed) -> Any:
    """The tensorstore of a scale, with axes x, y, z and channel."""
    try:
        import tensorstore
    except ImportError as error:
        raise ConfigError(
            "volumes in the precomputed format are read by tensorstore; install it: pip install 'vemrecon[precomputed]'"
        ) from error
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "http", "base_url": box.url.rstrip("/") + "/"},
        "scale_index": box.mip,
        "recheck_cached_data": False,
        "context": {"cache_pool": {"total_bytes_limit": CACHE_BYTES}, "http_request_retries": RETRIES},
    }
    return _result(box, partial(tensorstore.open, spec, open=True, read=True))


def _checked(box: Precomputed, store: Any, voxel_size: VoxelSize | None) -> VoxelSize | None:
    """Voxel size of a scale, after a look at whether it is what the card says."""
    dtype = store.dtype.name
    if dtype not in GREY_DTYPES:
        raise DataError(
            f"{box.url}: dtype {dtype} is not a grey-level type ({', '.join(GREY_DTYPES)}); "
            f"this looks like labels, name the image instead"
        )
    low, high = (edge[2::-1] for edge in (store.domain.inclusive_min, store.domain.exclusive_max))  # x, y, z, channel
    wanted = box.region
    if any(a < b for a, b in zip(wanted.start, low, strict=True)) or any(
        a > b for a, b in zip(wanted.stop, high, strict=True)
    ):
        there = " ".join(f"{name}[{a},{b})" for name, a, b in zip("zyx", low, high, strict=True))
        raise DataError(f"{box.url}: the box {wanted} reaches out of the volume, which is {there} at mip {box.mip}")
    units = store.dimension_units[2::-1]
    if any(unit is None or unit.base_unit != "nm" for unit in units):
        return voxel_size
    found = VoxelSize(*(unit.multiplier for unit in units))
    if voxel_size is not None and not np.allclose(tuple(found), tuple(voxel_size), rtol=0.01):
        raise DataError(
            f"{box.url}: voxels of {found} at mip {box.mip}, but the card says {voxel_size}; correct the card"
        )
    return voxel_size or found


def _copy(box: Precomputed, store: Any, path: Path, voxel_size: VoxelSize | None, progress: Share) -> None:
    """Write a box block by block, and what is known about it."""
    region = box.region
    source = {"url": box.url, "mip": box.mip, "region": [list(region.start), list(region.stop)]}
    origin = moved((0, 0, 0), region.start, voxel_size)
    array = create_zarr(path, region.shape, store.dtype.name, voxel_size, origin=origin, attributes={"source": source})
    done = black = 0
    for block in Region.whole(region.shape).blocks(BLOCK):
        z, y, x = block.shifted(region.start).slices
        voxels = _result(box, store[x, y, z, 0].read).T  # (x, y, z) -> (z, y, x)
        array[block.slices] = voxels
        black += int((voxels == 0).sum())
        done += block.voxels
        if black > BLACK_SHARE * region.voxels:
            raise DataError(
                f"{box.url}: more than {BLACK_SHARE:.0%} of the voxels of {region} are black: outside the tissue, or "
                f"lost sections; move the boxes of the card by 120 sections along z"
            )
        progress(done / region.voxels)
    digest = hashlib.sha256()
    for slab in Region.whole(region.shape).blocks((BLOCK[0], *region.shape[1:])):
        digest.update(np.ascontiguousarray(array[slab.slices]).data)
    _describe(path, {"sha256_of_voxels": digest.hexdigest(), "black_voxels": black})


def _describe(path: Path, facts: dict[str, Any]) -> None:
    import zarr

    group = zarr.open_group(path, mode="r+")
    group.attrs["vemrecon"] = {**dict(group.attrs)["vemrecon"], **facts}  # type: ignore[dict-item]  # JSON of create_zarr


def _result(box: Precomputed, ask: Callable[[], Any]) -> Any:
    """What a future of tensorstore gives.

    Raises:
        DataError: If it cannot be had; tensorstore has errors of many types.
    """
    try:
        return ask().result(timeout=SECONDS)
    except Exception as error:
        raise DataError(
            f"{box.url}: cannot be read at mip {box.mip} ({reason_of(error)}); see whether address and "
            f"connection are right, and try again"
        ) from error
