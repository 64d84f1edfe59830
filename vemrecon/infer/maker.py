"""`Maker`: makes blocks of a reconstruction with one method on one device, wherever it is told to."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vemrecon.errors import DataError
from vemrecon.files import atomic_write, checksum, digest_of, reach_disk
from vemrecon.infer.marks import Sums
from vemrecon.infer.overlap import WriteBehind, read_ahead
from vemrecon.infer.schedule import Unit
from vemrecon.infer.spool import Spool
from vemrecon.infer.tiles import TilePlace, TilePlan
from vemrecon.methods.base import Method, Tile, reconstruct_tile
from vemrecon.volume import SectionGrid, Volume, quantise
from vemrecon.volume.pyramid import halved
from vemrecon.volume.volume import Span, swapped

SLOW = 1.0  # seconds; tiles that take longer are kept before their block is whole
Voxels = NDArray[Any]


@dataclass(frozen=True)
class Target:
    """An array that is written, how voxels in [0, 1] are put into it, and what it says about itself."""

    path: Path
    dtype: np.dtype[Any]
    span: Span | None
    name: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def level(self, number: int) -> Path:
        """Folder of a level, 0 for the finest."""
        return self.path / str(number)


@dataclass(frozen=True)
class Job:
    """All that decides which bytes are in which file, but the method and its input.

    Attributes:
        plan: Tiles and blocks; the coarse axis is the first.
        targets: The reconstruction, and its uncertainty if wanted.
        axis: The coarse axis of the volume, 0 for z.
    """

    plan: TilePlan
    targets: Sequence[Target]
    axis: int = 0

    @property
    def folder(self) -> Path:
        """Where the targets are, and what is remembered beside them."""
        return self.targets[0].path.parent

    @property
    def order(self) -> tuple[int, int, int]:
        """Axes of the plan in the order of the volume."""
        return swapped(self.axis)

    @property
    def digest(self) -> str:
        """Of all that it says."""
        arrays = [[one.path.name, one.dtype.str, one.span, one.name, one.facts] for one in self.targets]
        return digest_of({"plan": asdict(self.plan), "axis": self.axis, "arrays": arrays})

    def files(self, unit: Unit) -> dict[str, Path]:
        """Files of a unit, by what they are called in the marks."""
        if unit.kind == "part":
            names = [f"parts/{unit.number}-{n}.npy" for n in range(len(self.targets))]
            return {name: self.folder / name for name in names}
        start = self.plan.output(self.plan.blocks()[unit.number]).start
        place = [str(start[i] // self.plan.sides[i]) for i in self.order]
        levels = range(self.plan.levels_in_pass)
        return {
            f"{one.path.name}/{level}": one.level(level).joinpath("c", *place)
            for one in self.targets
            for level in levels
        }


Done = Callable[[Unit, Sums], None]
"""Told the checksums of the files of a unit that have reached the disk."""


class Maker:
    """Makes units of a job.

    Args:
        job: What is made.
        method: In evaluation mode, on the device.
        observed: The volume with its coarse axis first.
        device: Where the method runs.
        wanted: Whether what is made may still be written.
    """

    def __init__(
        self, job: Job, method: Method, observed: Volume, device: str, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        import zarr

        self.job, self.plan, self.method, self.observed, self.device = job, job.plan, method, observed, device
        self.wanted, self.spool = wanted, Spool(job.folder / "tiles")
        levels = range(job.plan.levels_in_pass)
        self.arrays: list[list[Any]] = [
            [zarr.open_array(one.level(n), mode="r+") for n in levels] for one in job.targets
        ]

    def make(self, units: Iterator[Unit], done: Done, tell: Callable[[int], None]) -> None:
        """Make units; reading, computing and writing overlap.

        Args:
            units: Taken when the one before is nearly made.
            done: Told what is on the disk.
            tell: Told the observed voxels of each tile that is made.
        """
        held: list[Voxels] = []
        with WriteBehind() as write:
            for (unit, place, part), voxels in read_ahead(self._read, self._items(units)):
                if place is None:
                    write(self._write, unit, voxels, done)
                    continue
                if part == 0:
                    held = self._empty(unit)
                made = self._made(unit, part, place, voxels)
                start = self._region(unit).start
                for buffer, contribution in zip(held, made, strict=True):
                    inside = place.output.relative_to(start).slices
                    if unit.kind == "part":
                        buffer[inside] += self.plan.ramps.weighted(contribution, place.alone, place.output)
                    else:
                        buffer[inside] = contribution
                tell(place.core.voxels)
                if place.core.stop == self.plan.blocks()[unit.number].stop:
                    write(self._write, unit, held, done)

    def _items(self, units: Iterator[Unit]) -> Iterator[tuple[Unit, TilePlace | None, int]]:
        for unit in units:
            if unit.kind == "block" and self.plan.blended:
                yield unit, None, 0
            else:
                tiles = self.plan.tiles(self.plan.blocks()[unit.number])
                yield from ((unit, place, part) for part, place in enumerate(tiles))

    def _region(self, unit: Unit) -> Any:
        """The voxels of the reconstruction that a unit holds."""
        if unit.kind == "part":
            return self.plan.contribution(unit.number)
        return self.plan.output(self.plan.blocks()[unit.number])

    def _empty(self, unit: Unit) -> list[Voxels]:
        shape = self._region(unit).shape
        if unit.kind == "part":
            return [np.zeros(shape, np.float32) for _ in self.job.targets]
        return [np.empty(shape, target.dtype) for target in self.job.targets]

    def _read(self, item: tuple[Unit, TilePlace | None, int]) -> Any:
        unit, place, _ = item
        return self._fused(unit) if place is None else self.observed.read(place.tile)

    def _fused(self, unit: Unit) -> list[Voxels]:
        """Grey levels of a blended block: the sum of what the blocks around it contribute."""
        block = self._region(unit)
        sums = [np.zeros(block.shape, np.float32) for _ in self.job.targets]
        for number in self.plan.neighbours(unit.number):
            there = self.plan.contribution(number)
            shared = block.intersection(there)
            if shared is None:
                continue
            for total, file in zip(sums, self.job.files(Unit("part", number)).values(), strict=True):
                part = np.load(file, mmap_mode="r", allow_pickle=False)
                total[shared.relative_to(block.start).slices] += part[shared.relative_to(there.start).slices]
        targets = zip(sums, self.job.targets, strict=True)
        return [quantise(total.clip(0, 1), one.dtype, one.span) for total, one in targets]

    def _made(self, unit: Unit, part: int, place: TilePlace, voxels: NDArray[np.float32]) -> list[Voxels]:
        """What a tile contributes, for every target: grey levels, or numbers in [0, 1] where tiles are blended."""
        targets = self.job.targets
        if (known := self.spool.found(unit.number, part, len(targets))) is not None:
            return known
        clock = time.perf_counter()
        results = tile_output(self.method, self.plan.grid, place, voxels, self.device, self.job.axis, len(targets) > 1)
        if unit.kind == "block":
            results = [quantise(result, one.dtype, one.span) for result, one in zip(results, targets, strict=True)]
        if time.perf_counter() - clock > SLOW:
            self.spool.keep(unit.number, part, results)
        return results

    def _write(self, unit: Unit, held: Sequence[Voxels], done: Done) -> None:
        """Write the files of a unit; it is done when they have reached the disk."""
        files = self.job.files(unit)
        if not self.wanted():
            raise DataError(f"{unit.kind} {unit.number}: nobody waits for it any more")
        if unit.kind == "part":
            for file, voxels in zip(files.values(), held, strict=True):
                with atomic_write(file, "wb") as stream:
                    np.save(stream, voxels, allow_pickle=False)
        else:
            self._write_levels(unit, held)
        missing = [str(file) for file in files.values() if not file.exists()]
        if missing:
            raise DataError(f"{missing[0]}: was not written, or was removed meanwhile")
        reach_disk([*files.values()], self.job.folder)
        sums = {name: checksum(file) for name, file in files.items()}
        done(unit, sums)
        self.spool.drop(unit.number)

    def _write_levels(self, unit: Unit, held: Sequence[Voxels]) -> None:
        start, order = self._region(unit).start, self.job.order
        for levels, grey in zip(self.arrays, held, strict=True):
            voxels = grey
            for number, array in enumerate(levels):
                voxels = halved(voxels) if number else voxels
                first = [a // 2**number for a in start]
                place = tuple(slice(first[i], first[i] + voxels.shape[i]) for i in order)
                array[place] = voxels.transpose(order)


def tile_output(
    method: Method,
    grid: SectionGrid,
    place: TilePlace,
    voxels: NDArray[np.float32],
    device: str,
    axis: int = 0,
    spread: bool = False,
) -> list[NDArray[np.float32]]:
    """What a method makes of a tile as far as it is used, and the uncertainty if wanted; in [0, 1]."""
    observed = torch.from_numpy(voxels)[None, None].to(device)
    _, rows, columns = place.inside.slices
    tile = Tile(observed, grid, place.tile.start, turns=axis == 0, kept=(rows, columns))
    results = reconstruct_tile(method, tile, spread=spread)
    return [result[0, 0][place.inside.slices].cpu().numpy() for result in results]


def twin(method: Method) -> Method:
    """The same method once more, with weights of its own."""
    copy: Method = pickle.loads(pickle.dumps(method))
    return copy.eval()
