"""Reconstruct a volume tile by tile into a zarr array, block by block, going on where an earlier attempt stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vemrecon.files import digest_of, output_error
from vemrecon.infer.marks import Marks, checksum, reach_disk
from vemrecon.infer.overlap import WriteBehind, read_ahead
from vemrecon.infer.spool import Spool
from vemrecon.infer.tiles import FILE_VOXELS, TilePlace, TilePlan
from vemrecon.methods.base import Method, Tile, reconstruct_tile
from vemrecon.progress import Share
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, quantise
from vemrecon.volume.ome_zarr import create_zarr
from vemrecon.volume.region import triple
from vemrecon.volume.volume import Span, moved, swapped

SLOW = 1.0  # seconds; tiles that take longer are kept before their block is whole
METADATA = ("zarr.json", "0/zarr.json")
HEAD = -1  # number under which these are marked


@dataclass(frozen=True)
class Target:
    """An array that is written, how voxels in [0, 1] are put into it, and what it says about itself."""

    path: Path
    dtype: np.dtype[Any]
    span: Span | None
    name: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def reconstruct_volume(
    method: Method,
    observed: Volume,
    path: Path,
    *,
    like: Volume,
    axis: int = 0,
    uncertainty: Path | None = None,
    device: str = "cpu",
    most: int = FILE_VOXELS,
    region: Region | None = None,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
    progress: Share = lambda share: None,
) -> None:
    """Reconstruct an observed volume into an OME-Zarr folder.

    Every block is one file (a shard), written once and whole while the next one is made. Blocks that an interrupted
    attempt has finished are kept if their files still hold what was written; of the block it was at, tiles that took
    long are kept too. The bytes do not depend on where it was interrupted.

    Args:
        method: In evaluation mode.
        observed: Shape (z, y, x); its grid says how many sections to make, and where its own lie among them.
        path: The zarr folder; `blocks.log` and `tiles` beside it remember what is finished.
        like: Gives dtype and intensity range of the voxels written; values are rounded half to even.
        axis: The coarse axis, 0 for z; any other one is turned to the front for the method, and back.
        uncertainty: A second zarr folder for the uncertainty, if wanted; float32, on the scale where black is 0 and
            white is 1, since it is often less than a grey level.
        device: Where the method runs.
        most: Voxels of a block; two blocks are in memory at once.
        region: What is reconstructed, in observed voxels (the coarse axis first); by default all.
        name: Of the image, by default that of the folder.
        facts: What the volume says about itself.
        progress: Told the finished share.

    Raises:
        DataError: If nobody said where the sections lie.
        OutputError: If the output cannot be written.
    """
    observed = observed.with_axis_first(axis)
    plan = TilePlan.of(observed.shape, observed.require_grid(), method.tile, most, region)
    targets = [Target(path, like.dtype, like.intensity_range, name, facts or {})]
    if uncertainty is not None:
        targets.append(Target(uncertainty, np.dtype(np.float32), None))
    try:
        _Run(method, observed, plan, targets, axis, device, progress).finish()
    except OSError as error:
        raise output_error(path, error) from error


def reconstruct_array(
    method: Method,
    observed: Volume,
    *,
    like: Volume,
    device: str = "cpu",
    region: Region | None = None,
    progress: Share = lambda share: None,
) -> NDArray[Any]:
    """Reconstruct an observed volume in memory; the same voxels as `reconstruct_volume` writes.

    Args:
        method: In evaluation mode.
        observed: Shape (z, y, x); its grid says how many sections to make.
        like: Gives dtype and intensity range.
        device: Where the method runs.
        region: What is reconstructed, in observed voxels; by default all.
        progress: Told the finished share.

    Raises:
        DataError: If nobody said where the sections lie.
    """
    plan = TilePlan.of(observed.shape, observed.require_grid(), method.tile, region=region)
    made, places = np.empty(plan.made, like.dtype), list(plan.tiles())
    for number, (place, voxels) in enumerate(read_ahead(lambda place: observed.read(place.tile), places)):
        (result,) = tile_output(method, plan.grid, place, voxels, device)
        made[place.output.slices] = quantise(result, like.dtype, like.intensity_range)
        progress((number + 1) / len(places))
    return made


def tile_output(
    method: Method,
    grid: SectionGrid,
    place: TilePlace,
    voxels: NDArray[np.float32],
    device: str,
    axis: int = 0,
    spread: bool = False,
) -> list[NDArray[np.float32]]:
    """What a method makes of a tile, without its halo, and the uncertainty if wanted; in [0, 1]."""
    observed = torch.from_numpy(voxels)[None, None].to(device)
    results = reconstruct_tile(method, Tile(observed, grid, place.tile.start, turns=axis == 0), spread=spread)
    return [result[0, 0][place.inside.slices].cpu().numpy() for result in results]


class _Run:
    """One attempt."""

    def __init__(
        self,
        method: Method,
        observed: Volume,
        plan: TilePlan,
        targets: Sequence[Target],
        axis: int,
        device: str,
        progress: Share,
    ) -> None:
        self.method, self.observed, self.plan, self.targets = method, observed, plan, targets
        self.axis, self.device, self.progress = axis, device, progress
        self.order = swapped(axis)
        folder = targets[0].path.parent
        self.marks, self.spool = Marks(folder / "blocks.log", self._digest()), Spool(folder / "tiles")

    def _digest(self) -> str:
        """Of all that decides which bytes are in which file, but the method and its input."""
        arrays = [[one.path.name, one.dtype.str, one.span, one.name, one.facts] for one in self.targets]
        return digest_of({"plan": asdict(self.plan), "axis": self.axis, "arrays": arrays})

    def finish(self) -> None:
        """Make what is not there yet."""
        blocks = self.plan.blocks()
        arrays = self._opened()
        total = sum(region.voxels for region in blocks)
        done = sum(block.voxels for number, block in enumerate(blocks) if number in self.marks.finished)
        self.progress(done / total)
        held: list[NDArray[Any]] = []
        with WriteBehind() as write:
            for (number, place, part), voxels in read_ahead(self._read, self._tiles(blocks)):
                block = self.plan.output(blocks[number])
                if part == 0:
                    held = [np.empty(block.shape, target.dtype) for target in self.targets]
                made = self._made(number, part, place, voxels)
                for buffer, grey in zip(held, made, strict=True):
                    buffer[place.output.relative_to(block.start).slices] = grey
                done += place.core.voxels
                self.progress(min(done / total, 1.0))
                if place.core.stop == blocks[number].stop:
                    write(self._write, number, block, arrays, held)
        self.spool.clear()

    def _tiles(self, blocks: Sequence[Region]) -> Iterator[tuple[int, TilePlace, int]]:
        for number, block in enumerate(blocks):
            if number not in self.marks.finished:
                yield from ((number, place, part) for part, place in enumerate(self.plan.tiles(block)))

    def _read(self, item: tuple[int, TilePlace, int]) -> NDArray[np.float32]:
        return self.observed.read(item[1].tile)

    def _made(self, number: int, part: int, place: TilePlace, voxels: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Grey levels of a tile's output, for every target."""
        if (known := self.spool.found(number, part, len(self.targets))) is not None:
            return known
        clock = time.perf_counter()
        results = tile_output(self.method, self.plan.grid, place, voxels, self.device, self.axis, len(self.targets) > 1)
        made = [quantise(result, one.dtype, one.span) for result, one in zip(results, self.targets, strict=True)]
        if time.perf_counter() - clock > SLOW:
            self.spool.keep(number, part, made)
        return made

    def _write(self, number: int, block: Region, arrays: Sequence[Any], held: Sequence[NDArray[Any]]) -> None:
        """Write a block into its files; the mark follows when they have reached the disk."""
        files = self._files(block)
        for file in files.values():
            file.unlink(missing_ok=True)  # zarr would read it first, and it may be damaged
        for array, voxels in zip(arrays, held, strict=True):
            array[tuple(block.slices[i] for i in self.order)] = voxels.transpose(self.order)
        reach_disk([*files.values()], self.targets[0].path.parent)
        self.marks.add(number, _sums(files))
        self.spool.drop(number)

    def _files(self, block: Region) -> Mapping[str, Path]:
        """Files of a block of output, by the name of its array."""
        place = [block.start[i] // self.plan.shard[i] for i in self.order]
        return {one.path.name: one.path.joinpath("0", "c", *map(str, place)) for one in self.targets}

    def _opened(self) -> list[Any]:
        """The arrays of an earlier attempt, less the blocks that are damaged, or new ones."""
        import zarr

        metadata = {f"{one.path.name}/{name}": one.path / name for one in self.targets for name in METADATA}
        if self.marks.finished.get(HEAD) == _sums(metadata):
            blocks = self.plan.blocks()
            files = {number: self._files(self.plan.output(block)) for number, block in enumerate(blocks)}
            self.marks.keep(
                HEAD, *(n for n, sums in self.marks.finished.items() if n != HEAD and sums == _sums(files[n]))
            )
            return [zarr.open_array(target.path / "0", mode="r+") for target in self.targets]
        for target in self.targets:
            shutil.rmtree(target.path, ignore_errors=True)
        self.spool.clear()
        self.marks.begin()
        arrays = [self._created(target) for target in self.targets]
        reach_disk([*metadata.values()], self.targets[0].path.parent)
        self.marks.add(HEAD, _sums(metadata))
        return arrays

    def _upright(self, turned: Sequence[int]) -> tuple[int, int, int]:
        return triple([turned[i] for i in self.order])

    def _created(self, target: Target) -> Any:
        grid, observed = self.plan.grid, self.observed
        size = observed.voxel_size and observed.voxel_size.scaled(0, 1 / grid.scale)
        first = (self.plan.start[0] - grid.first, *self.plan.start[1:])
        z, y, x = (moved(observed.origin, first, size)[i] for i in self.order)
        return create_zarr(
            target.path,
            self._upright(self.plan.made),
            target.dtype,
            size and VoxelSize(*(tuple(size)[i] for i in self.order)),
            chunks=self._upright(self.plan.chunk),
            shards=self._upright(self.plan.shard),
            origin=(z, y, x),
            attributes=target.facts,
            name=target.name,
        )


def _sums(files: Mapping[str, Path]) -> dict[str, int | None]:
    return {name: checksum(file) for name, file in files.items()}
