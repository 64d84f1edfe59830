"""`Spool`: tiles of a block that is not whole yet, kept on disk where making them took long."""

from __future__ import annotations

import io
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.files import atomic_write

SUM_BYTES = 4


class Spool:
    """Tiles by block and place in it; damaged ones do not count.

    Args:
        folder: Made when the first tile is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, block: int, tile: int, voxels: Sequence[NDArray[Any]]) -> None:
        """Keep what was made of a tile."""
        buffer = io.BytesIO()
        for array in voxels:
            np.save(buffer, array, allow_pickle=False)
        data = buffer.getvalue()
        with atomic_write(self._path(block, tile), "wb") as file:
            file.write(zlib.crc32(data).to_bytes(SUM_BYTES) + data)

    def found(self, block: int, tile: int, count: int) -> list[NDArray[Any]] | None:
        """What was made of a tile; None if it is not there or damaged."""
        try:
            data = self._path(block, tile).read_bytes()
        except OSError:
            return None
        if len(data) < SUM_BYTES or zlib.crc32(data[SUM_BYTES:]) != int.from_bytes(data[:SUM_BYTES]):
            return None
        buffer = io.BytesIO(data[SUM_BYTES:])
        return [np.load(buffer, allow_pickle=False) for _ in range(count)]

    def drop(self, block: int) -> None:
        """Forget the tiles of a block that is written."""
        for file in self.folder.glob(f"{block}-*.tile"):
            file.unlink()

    def clear(self) -> None:
        """Forget all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, block: int, tile: int) -> Path:
        return self.folder / f"{block}-{tile}.tile"
