"""Reconstruct a volume tile by tile into a zarr array, block by block, going on where an earlier attempt stopped."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vemrecon.files import checksum, output_error, reach_disk
from vemrecon.infer.maker import Done, Job, Maker, Target, tile_output, twin
from vemrecon.infer.marks import Marks, Sums
from vemrecon.infer.overlap import read_ahead
from vemrecon.infer.schedule import Schedule, Unit
from vemrecon.infer.spool import Spool
from vemrecon.infer.tiles import TilePlan
from vemrecon.methods.base import Method
from vemrecon.progress import Share
from vemrecon.volume import Region, Volume, VoxelSize, quantise
from vemrecon.volume.ome_zarr import create_zarr
from vemrecon.volume.pyramid import Level, halved
from vemrecon.volume.region import Triple, triple
from vemrecon.volume.volume import moved

METADATA, BLOCKS = "zarr.json", "blocks.log"
HEAD = -1  # number under which these are marked


def reconstruct_volume(
    method: Method,
    observed: Volume,
    path: Path,
    *,
    like: Volume,
    axis: int = 0,
    uncertainty: Path | None = None,
    devices: Sequence[str] = ("cpu",),
    most: int | None = None,
    region: Region | None = None,
    pyramid: bool = False,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
    workers: Workers | None = None,
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
        devices: Where the method runs; each one makes blocks of its own.
        most: Voxels of a block; two blocks of each device are in memory at once.
        region: What is reconstructed, in observed voxels (the coarse axis first); by default all.
        pyramid: Whether coarser levels are written, too.
        name: Of the image, by default that of the folder.
        facts: What the volume says about itself.
        workers: Make the blocks in place of this process.
        progress: Told the finished share.

    Raises:
        DataError: If nobody said where the sections lie.
        OutputError: If the output cannot be written.
    """
    observed = observed.with_axis_first(axis)
    plan = TilePlan.of(observed.shape, observed.require_grid(), method.tile, most, region, pyramid)
    job = Job(plan, _targets(path, like, uncertainty, name, facts), axis)
    try:
        _Run(job, observed, progress).finish(workers or Local(method, observed, devices))
    except OSError as error:
        raise output_error(path, error) from error


def _targets(
    path: Path, like: Volume, uncertainty: Path | None, name: str = "", facts: Mapping[str, Any] | None = None
) -> tuple[Target, ...]:
    made = Target(path, like.dtype, like.intensity_range, name, facts or {})
    return (made,) if uncertainty is None else (made, Target(uncertainty, np.dtype(np.float32), None))


def damaged_files(
    method: Method, observed: Volume, path: Path, *, like: Volume, axis: int = 0, uncertainty: Path | None = None
) -> list[str]:
    """What is missing or damaged of a reconstruction that `reconstruct_volume` has finished; it makes just that again.

    Args: as `reconstruct_volume` was given them.

    Returns:
        Blocks by their numbers, `metadata`, or `blocks.log` where that does not say what was written.
    """
    observed = observed.with_axis_first(axis)
    plan = TilePlan.of(observed.shape, observed.require_grid(), method.tile)
    job = Job(plan, _targets(path, like, uncertainty), axis)
    marks = Marks(job.folder / BLOCKS, job.digest)
    if marks.fresh:
        return [BLOCKS]
    found = [] if marks.finished.get(HEAD) == _sums(_metadata(job)) else ["metadata"]
    numbers = range(len(plan.blocks()))
    bad = [n for n in numbers if marks.finished.get(n) != _sums(job.files(Unit("block", n)))]
    return found + [f"block {number}" for number in bad]


def _metadata(job: Job) -> dict[str, Path]:
    """Files that say what an array is, by what they are called in the marks."""
    return {
        f"{one.path.name}/{level}": (one.path if level == "" else one.path / level) / METADATA
        for one in job.targets
        for level in ("", *map(str, range(job.plan.level_count)))
    }


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
    made, places = np.zeros(plan.made, np.float32 if plan.blended else like.dtype), list(plan.tiles())
    for number, (place, voxels) in enumerate(read_ahead(lambda place: observed.read(place.tile), places)):
        (result,) = tile_output(method, plan.grid, place, voxels, device)
        if plan.blended:
            made[place.output.slices] += plan.ramps.weighted(result, place.alone, place.output)
        else:
            made[place.output.slices] = quantise(result, like.dtype, like.intensity_range)
        progress((number + 1) / len(places))
    return quantise(made.clip(0, 1), like.dtype, like.intensity_range) if plan.blended else made


class Workers(Protocol):
    """Whoever makes the units of a job."""

    def make(self, job: Job, schedule: Schedule, done: Done, tell: Callable[[int], None]) -> None:
        """Make all that a schedule hands out.

        Args:
            job: What is made.
            schedule: Of its units; `done` reports to it.
            done: Told the checksums of finished units; any thread may call it.
            tell: Told the observed voxels that are made, likewise.
        """


@dataclass(frozen=True)
class Local:
    """This process: one thread for each device, and the only one is the main thread."""

    method: Method
    observed: Volume
    devices: Sequence[str] = ("cpu",)

    def make(self, job: Job, schedule: Schedule, done: Done, tell: Callable[[int], None]) -> None:
        """See `Workers`."""
        first, *others = self.devices
        if not others:
            self._work(job, self.method, first, schedule, done, tell)
            return
        methods = [self.method, *(twin(self.method).to(device) for device in others)]
        with ThreadPoolExecutor(len(methods), "device") as pool:
            works = [
                pool.submit(self._work, job, method, device, schedule, done, tell)
                for method, device in zip(methods, self.devices, strict=True)
            ]
            try:
                for work in as_completed(works):
                    work.result()
            finally:
                schedule.stop()

    def _work(
        self, job: Job, method: Method, device: str, schedule: Schedule, done: Done, tell: Callable[[int], None]
    ) -> None:
        maker = Maker(job, method, self.observed, device)
        while (unit := schedule.wait()) is not None:
            maker.make(chain([unit], iter(schedule.take, None)), done, tell)


class _Run:
    """One attempt."""

    def __init__(self, job: Job, observed: Volume, progress: Share) -> None:
        self.job, self.plan, self.observed, self.progress = job, job.plan, observed, progress
        self.marks = Marks(job.folder / BLOCKS, job.digest)
        self.parts = Marks(job.folder / "parts.log", job.digest)
        self.spool, self.lock = Spool(job.folder / "tiles"), threading.Lock()

    def finish(self, workers: Workers) -> None:
        """Make what is not there yet."""
        self._open()
        blocks = self.plan.blocks()
        finished = {number for number in self.marks.finished if number != HEAD}
        self.schedule = Schedule(self.plan, finished, self.parts.finished)
        self.total = sum(block.voxels for block in blocks)
        self.made = sum(blocks[number].voxels for number in finished | set(self.parts.finished))
        self._tell(0)
        workers.make(self.job, self.schedule, self._done, self._tell)
        if self.schedule.left:
            raise RuntimeError(f"blocks {sorted(self.schedule.left)} were not made")
        coarser_levels(self.job)
        self._clear_partial()
        self.spool.clear()
        shutil.rmtree(self.job.folder / "parts", ignore_errors=True)
        self.parts.path.unlink(missing_ok=True)

    def _tell(self, voxels: int) -> None:
        with self.lock:
            self.made += voxels
            self.progress(min(self.made / self.total, 1.0))

    def _done(self, unit: Unit, sums: Sums) -> None:
        """A unit is on the disk."""
        with self.lock:
            (self.marks if unit.kind == "block" else self.parts).add(unit.number, sums)
        for number in self.schedule.done(unit):
            for file in self.job.files(Unit("part", number)).values():
                file.unlink(missing_ok=True)

    def _open(self) -> None:
        """Keep what an earlier attempt has finished, less what is damaged, or create the arrays."""
        metadata = _metadata(self.job)
        if self.marks.finished.get(HEAD) == _sums(metadata):
            for kind, marks in (("block", self.marks), ("part", self.parts)):
                heads = [HEAD] if HEAD in marks.finished else []
                marks.keep(*heads, *(n for n in marks.finished if n != HEAD and self._whole(kind, n, marks)))
            self._clear()
            if self.plan.blended and self.parts.fresh:
                self.parts.begin()
            return
        for target in self.job.targets:
            shutil.rmtree(target.path, ignore_errors=True)
        self.spool.clear()
        shutil.rmtree(self.job.folder / "parts", ignore_errors=True)
        self.marks.begin()
        if self.plan.blended:
            self.parts.begin()
        for target in self.job.targets:
            self._create(target)
        reach_disk([*metadata.values()], self.job.folder)
        self.marks.add(HEAD, _sums(metadata))

    def _clear(self) -> None:
        """Remove what is not finished: zarr would read it before it writes, and it may be damaged."""
        for number in range(len(self.plan.blocks())):
            if number not in self.marks.finished:
                for file in self.job.files(Unit("block", number)).values():
                    file.unlink(missing_ok=True)
        self._clear_partial()

    def _clear_partial(self) -> None:
        """Remove what zarr had begun to write when its process ended."""
        for target in self.job.targets:
            for file in target.path.rglob("*.partial"):
                file.unlink(missing_ok=True)

    def _whole(self, kind: str, number: int, marks: Marks) -> bool:
        """Whether the files of a unit still hold what was written."""
        unit = Unit("block" if kind == "block" else "part", number)
        return marks.finished[number] == _sums(self.job.files(unit))

    def _upright(self, turned: Sequence[int]) -> Triple:
        return triple([turned[i] for i in self.job.order])

    def _create(self, target: Target) -> None:
        grid, observed = self.plan.grid, self.observed
        size = observed.voxel_size and observed.voxel_size.scaled(0, 1 / grid.scale)
        first = (self.plan.start[0] - grid.first, *self.plan.start[1:])
        z, y, x = (moved(observed.origin, first, size)[i] for i in self.job.order)
        levels = [
            Level(self._upright(one.shape), self._upright(one.chunk), self._upright(one.shard))
            for one in self.plan.levels
        ]
        create_zarr(
            target.path,
            levels[0].shape,
            target.dtype,
            size and VoxelSize(*(tuple(size)[i] for i in self.job.order)),
            chunks=levels[0].chunk,
            shards=levels[0].shard,
            coarser=levels[1:],
            origin=(z, y, x),
            attributes=target.facts,
            name=target.name,
        )


def coarser_levels(job: Job) -> None:
    """Make the levels that are not made with the blocks, each of the one before; anew if it was interrupted."""
    import zarr

    for target in job.targets:
        for number in range(job.plan.levels_in_pass, job.plan.level_count):
            finer: Any = zarr.open_array(target.level(number - 1), mode="r")
            coarser: Any = zarr.open_array(target.level(number), mode="r+")
            voxels = target.level(number) / "c"
            shutil.rmtree(voxels, ignore_errors=True)  # zarr would read what is there, and it may be damaged
            whole = Region.whole(triple(finer.shape))
            for file in Region.whole(triple(coarser.shape)).blocks(coarser.shards):
                source = Region(triple([2 * a for a in file.start]), triple([2 * b for b in file.stop]))
                there = source.intersection(whole)
                assert there is not None
                coarser[file.slices] = halved(finer[there.slices])
            reach_disk([one for one in voxels.rglob("*") if one.is_file()], job.folder)


def _sums(files: Mapping[str, Path]) -> dict[str, int | None]:
    return {name: checksum(file) for name, file in files.items()}
