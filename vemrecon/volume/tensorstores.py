"""Arrays that are read by tensorstore: N5, neuroglancer's precomputed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import DataError

CACHE_BYTES = 128 << 20
SECONDS = 600  # for one read, retries included


def reason_of(error: BaseException) -> str:
    """An error of tensorstore in one short line."""
    return " ".join(str(error).split()).split(" [tensorstore_spec=")[0][:300] or type(error).__name__


def local_store(path: Path, folder: Path, driver: str, more: Mapping[str, Any], fill: bool) -> Any:
    """A tensorstore of a folder, its first voxel at 0, in C order: the axis that counts fastest is the last.

    Args:
        path: For messages.
        folder: Of the array, or of the volume.
        driver: Of tensorstore.
        more: Of its specification.
        fill: Whether what was never stored is read as fill value; else reading it fails.

    Raises:
        DataError: If it cannot be opened.
    """
    import tensorstore

    spec = {
        "driver": driver,
        "kvstore": {"driver": "file", "path": f"{folder.resolve()}/"},
        "fill_missing_data_reads": fill,
        "context": {"cache_pool": {"total_bytes_limit": CACHE_BYTES}},
        **more,
    }
    try:
        return upright(tensorstore.open(spec, open=True, read=True).result(timeout=SECONDS))
    except Exception as error:  # tensorstore has errors of many types
        raise DataError(f"{path}: cannot be read ({reason_of(error)})") from error


def upright(store: Any) -> Any:
    """A tensorstore with its first voxel at 0, in C order."""
    import tensorstore

    return store[tensorstore.d[:].translate_to[0]].T


class StoredArray:
    """A tensorstore as an array of numpy that is read on demand."""

    fork_safe = False  # tensorstore ends a process that was forked and reads

    def __init__(self, store: Any) -> None:
        self.store = store
        self.chunks = tuple(int(n) for n in store.chunk_layout.read_chunk.shape)
        self.shape, self.ndim = tuple(int(n) for n in store.shape), int(store.ndim)
        self.dtype: np.dtype[Any] = np.dtype(store.dtype.numpy_dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        ask: Callable[[], Any] = self.store[index].read
        try:
            return np.asarray(ask().result(timeout=SECONDS))
        except Exception as error:  # tensorstore has errors of many types
            raise ValueError(reason_of(error)) from error
