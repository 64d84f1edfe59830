"""D2R's second stage: an isotropic volume from a restorer of single sections, as training material for the third.

Both lateral passes (xz planes along y, yz planes along x) are restored tile by tile and averaged, and the tiles are
joined with linear ramps. The restorer, a diffusion model in D2R, is passed in.

Source: D2R's released code. Changed: tiles are kept and joined in float32 (there: half precision, then truncated to 8
bit), and volumes smaller than a tile are taken as they are.
"""

from __future__ import annotations

import itertools
import math
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.files import atomic_write, make_folder
from vemrecon.kept import remember, set_aside, whole
from vemrecon.processes import rank, wait_until, world_size
from vemrecon.progress import Share
from vemrecon.volume import Region, Volume, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr
from vemrecon.volume.region import Triple, triple

RestorePass = Callable[[str, Tensor, Triple], Tensor]
"""From a direction (`xz` or `yz`), an observed tile (z, y, x) and the place of its first voxel, to the tile restored by
all planes of this direction, shape (factor z, y, x)."""
DIRECTIONS = ("xz", "yz")
TILE: Triple = (32, 256, 256)
OVERLAP: Triple = (4, 4, 4)


def tile_centres(length: int, tile: int, overlap: int) -> list[int]:
    """Centres of the tiles along an axis, which reach `tile // 2` to either side; the last one is moved inwards.

    >>> tile_centres(10, 4, 2), tile_centres(3, 4, 2)
    ([2, 4, 6, 8], [1])

    Raises:
        DataError: If tiles do not reach beyond their overlap.
    """
    tile = min(tile, length)
    if tile == length:
        return [length // 2]
    if tile <= overlap or tile % 2:
        raise DataError(f"tiles must be even and longer than their overlap of {overlap} voxels, got {tile}")
    count = math.ceil((length - overlap) / (tile - overlap))
    return [min(tile // 2 + i * (tile - overlap), length - tile // 2) for i in range(count)]


def joined(parts: Sequence[Tensor], axis: int, overlap: int, length: int) -> Tensor:
    """Parts that overlap along an axis, blended by ramps from 1 to 0; the last overlap grows to end at `length`."""
    result = parts[0]
    for part in parts[1:]:
        n, more = result.shape[axis], part.shape[axis]
        shared = overlap if n + more - overlap <= length else n + more - length
        shape = [-1 if i == axis else 1 for i in range(3)]
        ramp = torch.linspace(1, 0, shared, dtype=result.dtype, device=result.device).reshape(shape)
        blend = result.narrow(axis, n - shared, shared) * ramp + part.narrow(axis, 0, shared) * (1 - ramp)
        result = torch.cat(
            [result.narrow(axis, 0, n - shared), blend, part.narrow(axis, shared, more - shared)], dim=axis
        )
    return result


def stitched(tiles: Sequence[Tensor], counts: Triple, shape: Triple, overlap: Triple) -> Tensor:
    """Tiles joined along x, then y, then z.

    Args:
        tiles: In order z, y, x (x fastest), shape (z, y, x) each.
        counts: Number of tiles along z, y, x.
        shape: Of the result.
        overlap: Of neighbouring tiles, in voxels of the result.
    """
    parts = list(tiles)
    for axis in (2, 1, 0):
        n = counts[axis]
        parts = [joined(parts[i : i + n], axis, overlap[axis], shape[axis]) for i in range(0, len(parts), n)]
    return parts[0]


@dataclass(frozen=True)
class Tiling:
    """How a volume is cut.

    Attributes:
        shape: Of the observed volume (z, y, x).
        factor: Sections to make of each observed one.
        tile: In observed voxels, even.
        overlap: Of neighbouring tiles, in observed voxels.
    """

    shape: Triple
    factor: int
    tile: Triple = TILE
    overlap: Triple = OVERLAP

    @cached_property
    def centres(self) -> tuple[list[int], ...]:
        """Of the tiles along z, y and x."""
        return tuple(tile_centres(n, size, o) for n, size, o in zip(self.shape, self.tile, self.overlap, strict=True))

    @cached_property
    def regions(self) -> list[Region]:
        """All tiles, x fastest."""
        found = []
        for middle in itertools.product(*self.centres):
            spans = [
                (0, n) if n <= size else (at - size // 2, at + size // 2)
                for at, size, n in zip(middle, self.tile, self.shape, strict=True)
            ]
            found.append(Region(triple([start for start, _ in spans]), triple([stop for _, stop in spans])))
        return found

    def passes(self, folder: Path) -> list[tuple[Path, str, Region]]:
        """File, direction and tile of everything that is to be restored."""
        numbered = itertools.product(enumerate(self.regions), DIRECTIONS)
        return [(folder / f"{number:05d}-{direction}.npz", direction, tile) for (number, tile), direction in numbered]

    def whole(self, tiles: Sequence[Tensor]) -> Tensor:
        """The volume from its restored tiles."""
        counts = triple([len(found) for found in self.centres])
        shape = triple([self.factor * self.shape[0], *self.shape[1:]])
        return stitched(tiles, counts, shape, triple([self.overlap[0] * self.factor, *self.overlap[1:]]))


@torch.no_grad()
def restore_passes(
    volume: Tensor, restore: RestorePass, tiling: Tiling, folder: Path, progress: Share = lambda share: None
) -> None:
    """Restore all tiles in both directions, one file each.

    Files that an earlier attempt has left are not made again, unless they are damaged;
    several processes share the work.

    Args:
        volume: Observed sections, shape (z, y, x), in [0, 1].
        restore: Restorer of planes whose rows are the axial axis.
        tiling: See there.
        folder: For the files; of this volume and this restorer alone.
        progress: Told the finished share.

    Raises:
        OutputError: If a file cannot be written.
    """
    mine = tiling.passes(folder)[rank() :: world_size()]
    for done, (path, direction, tile) in enumerate(mine, start=1):
        if not _readable(path):
            restored = restore(direction, volume[tile.slices], tile.start)
            with atomic_write(path, "wb") as file:
                np.savez(file, tile=restored.cpu().numpy())
        progress(done / len(mine))


def _readable(path: Path) -> bool:
    """Whether a restored tile is there and whole; its file is a zip, which has checksums."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def joined_passes(tiling: Tiling, folder: Path) -> Tensor:
    """The isotropic volume from all files, shape (factor z, y, x), not clipped.

    Observed section k is the one at `factor k`, or in the middle of its slab.
    """
    found = []
    for path, _, _ in tiling.passes(folder):
        with np.load(path, allow_pickle=False) as file:
            found.append(torch.from_numpy(file["tile"]))
    return tiling.whole([0.5 * (xz + yz) for xz, yz in zip(found[::2], found[1::2], strict=True)])


def stored_pseudo_truth(
    volume: Volume,
    restore: RestorePass,
    tiling: Tiling,
    path: Path,
    *,
    device: torch.device | str = "cpu",
    progress: Share = lambda share: None,
) -> Volume:
    """The isotropic volume as OME-Zarr, clipped to [0, 1], in float32; one that is there is opened.

    Args:
        volume: Observed; small enough for memory.
        restore: See `restore_passes`.
        tiling: See there.
        path: The zarr folder; finished passes lie beside it until it is complete.
        device: Where the restorer runs.
        progress: See `restore_passes`.

    Raises:
        OutputError: If something cannot be written.
    """
    if not whole(path):
        if path.exists() and rank() == 0:
            set_aside(path)
        passes = make_folder(path.with_suffix(".passes"))
        restore_passes(torch.from_numpy(volume.read(volume.whole)).to(device), restore, tiling, passes, progress)
        if rank() == 0:
            wait_until(lambda: all(file.exists() for file, _, _ in tiling.passes(passes)))
            made = joined_passes(tiling, passes).clamp(0, 1).numpy()
            size = volume.voxel_size and volume.voxel_size.scaled(0, 1 / tiling.factor)
            copy_to_zarr(path, Volume(made, size, volume.name), "float32")
            remember(path)
            shutil.rmtree(passes, ignore_errors=True)
        wait_until(path.exists)
    return open_volume(path)
