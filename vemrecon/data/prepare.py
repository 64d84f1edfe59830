"""Turn a raw file into an OME-Zarr volume of the same voxels, slab by slab within a memory bound."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.inspect import Inspection, section_statistics, sections_text
from vemrecon.data.logbook import Logbook
from vemrecon.data.prepared import prepared_inspection, prepared_volume
from vemrecon.data.slabs import read_slab
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import make_folder, output_error
from vemrecon.progress import Share
from vemrecon.volume import Region, Volume
from vemrecon.volume.ome_zarr import CHUNK, create_zarr
from vemrecon.volume.region import triple

SPARE_SECTIONS = 3  # a page as stored, decoded, and copied, beside the slab that it goes into
SPARE_BYTES = 12 << 20  # pieces in float64, and chunks being compressed
PART = ".part"


@dataclass(frozen=True)
class Layout:
    """How a volume is cut: one slab, which is one row of chunks, has one writer."""

    depth: int
    """Sections of a slab and of a chunk."""
    writers: int
    """Slabs in memory at once."""


def layout_of(volume: Volume, memory_bytes: int, threads: int | None = None) -> Layout:
    """The thickest slabs, up to a cubic chunk, that fit into memory, and how many of them do.

    Raises:
        ConfigError: If not even one section fits.
    """
    section = volume.shape[1] * volume.shape[2] * volume.dtype.itemsize
    spare = SPARE_SECTIONS * section + SPARE_BYTES
    depth = CHUNK
    while depth > 1 and depth * section + spare > memory_bytes:
        depth //= 2
    fitting = memory_bytes // (depth * section + spare)
    if fitting < 1:
        raise ConfigError(
            f"{volume.name}: {memory_bytes / 2**20:.0f} MiB of memory are too few for sections of "
            f"{section / 2**20:.1f} MiB; allow at least {(section + spare) / 2**20 + 1:.0f} MiB more than the "
            f"program itself takes"
        )
    slabs = -(-volume.shape[0] // depth)
    return Layout(depth, min(fitting, slabs, threads or _cores()))


def prepare(
    volume: Volume,
    out: Path,
    *,
    digest: str,
    memory_bytes: int,
    progress: Share = lambda share: None,
    facts: Mapping[str, str] | None = None,
) -> Inspection:
    """Write a volume as OME-Zarr 0.5 with the same voxels, and inspect it in the same pass.

    The folder appears when it is complete; until then the work lies in a hidden folder beside it, and a later call
    goes on there.

    Args:
        volume: The raw volume; its voxel size is written too.
        out: Folder to write; nothing is done if it is the finished volume of this raw file already.
        digest: sha256 of the raw file.
        memory_bytes: What voxels may take in memory at once, beyond what the program itself takes.
        progress: Told the finished share; called from several threads, one at a time.
        facts: Kept with the volume, such as the names of dataset and file.

    Raises:
        DataError: If the file is damaged, has NaN voxels or is constant.
        ConfigError: If `out` is something else, another process writes it, or the memory is too small.
        OutputError: If it cannot be written; what is finished is kept.
    """
    part = out.with_name(f".{out.name}{PART}")
    layout = layout_of(volume, memory_bytes)
    if not out.exists():
        try:
            with _only_writer(part, out):
                if not out.exists():  # another process may have finished it just now
                    _prepare(volume, part, out, digest, layout, facts or {}, progress)
        except DataError:
            shutil.rmtree(part, ignore_errors=True)  # going on would meet the same voxels
            raise
        except OSError as error:
            raise output_error(out, error) from error
    if prepared_volume(out, digest) is None:
        raise ConfigError(f"{out}: already exists and is not this file prepared; remove it or choose another name")
    shutil.rmtree(part, ignore_errors=True)
    return prepared_inspection(out)


def _prepare(
    volume: Volume,
    part: Path,
    out: Path,
    digest: str,
    layout: Layout,
    facts: Mapping[str, str],
    progress: Share,
) -> None:
    import zarr

    work = part / out.name
    log = _begin(volume, part, work, digest, layout)
    inspection = _Pass(volume, zarr.open_array(work / "0", mode="r+"), layout, log, progress).run()
    if inspection.problems:
        raise DataError(f"{volume.name}: {'; '.join(inspection.problems)}")
    group = zarr.open_group(work, mode="r+")
    attributes: Any = dict(group.attrs)
    prepared = {"schema": 1, **facts, "raw": volume.name, "digest": digest, "inspection": inspection.to_json()}
    group.attrs["vemrecon"] = attributes["vemrecon"] | {"prepared": prepared}  # atomic, as zarr writes all its files
    work.rename(out)


class _Pass:
    """One pass over a volume: every slab is read, inspected and written by the same task."""

    def __init__(
        self,
        volume: Volume,
        array: Any,
        layout: Layout,
        log: Logbook,
        progress: Share,
    ) -> None:
        self.volume, self.array, self.layout = volume, array, layout
        self.log, self.progress = log, progress
        self.slabs = list(volume.whole.blocks((layout.depth, *volume.shape[1:])))
        self.reading, self.writing_down = threading.Lock(), threading.Lock()
        self.error: BaseException | None = None

    def run(self) -> Inspection:
        """All slabs that are not finished, several at a time."""
        import dask.array as da

        depths = tuple(slab.shape[0] for slab in self.slabs)
        rows = da.map_blocks(self.slab, chunks=(depths, (5,)), dtype=np.float64, meta=np.empty((0, 0)), name="slab")
        try:
            with ThreadPoolExecutor(self.layout.writers) as pool:  # once it is left, nobody writes any more
                return Inspection.of(self.volume, rows.compute(scheduler="threads", pool=pool))
        except Exception as error:
            raise self.error or error from None

    def slab(self, block_id: tuple[int, ...]) -> NDArray[np.float64]:
        """Statistics of one slab, which is written to the output on the way."""
        number = block_id[0]
        try:
            if number not in self.log.finished:
                self.finished_now(number, self.copied(self.slabs[number]))
        except BaseException as error:
            self.error = self.error or error
            raise
        return np.asarray(self.log.finished[number], dtype=np.float64)

    def copied(self, slab: Region) -> NDArray[np.float64]:
        """Read, inspect and write."""
        with self.reading:
            if self.error:  # slabs that wait here would only delay the message
                raise self.error
            voxels = read_slab(self.volume, slab)
        statistics = section_statistics(voxels)
        broken = tuple(slab.start[0] + z for z, row in enumerate(statistics) if row[4] < 1)
        if broken:
            raise DataError(
                f"{self.volume.name}: NaN or infinite voxels in {sections_text(broken)}; repair or mask them first"
            )
        self.array[slab.slices] = voxels
        return statistics

    def finished_now(self, number: int, statistics: NDArray[np.float64]) -> None:
        """Write down that a slab is complete; what a kill interrupts is done again."""
        with self.writing_down:
            self.log.add(number, statistics.tolist())
            self.progress(len(self.log.finished) / len(self.slabs))


def _begin(volume: Volume, part: Path, work: Path, digest: str, layout: Layout) -> Logbook:
    """Slabs that an interrupted attempt has finished, with their statistics; anew where it wrote something else."""
    voxel_size = None if volume.voxel_size is None else list(volume.voxel_size)
    plan = {
        "schema": 1, "digest": digest, "shape": list(volume.shape), "dtype": str(volume.dtype),
        "voxel_size": voxel_size, "grid": volume.grid and volume.grid.as_dict(),
        "origin": list(volume.origin), "depth": layout.depth, "range": list(volume.span),
    }  # fmt: skip
    log = Logbook(part, plan)
    if log.goes_on:
        for torn in work.rglob("*.partial"):  # chunks that zarr was writing when it was killed
            torn.unlink()
        return log
    log.forget()
    shutil.rmtree(work, ignore_errors=True)
    chunks = triple([min(edge, n) for edge, n in zip((layout.depth, CHUNK, CHUNK), volume.shape, strict=True)])
    said = {"dtype": volume.dtype.name, "intensity_range": list(volume.span)} if volume.stated else {}
    create_zarr(
        work, volume.shape, volume.dtype, volume.voxel_size, chunks=chunks, grid=volume.grid, origin=volume.origin,
        attributes=said,
    )  # fmt: skip
    log.begin()
    return log


@contextmanager
def _only_writer(part: Path, out: Path) -> Iterator[None]:
    """Hold the hidden folder; the operating system lets go of it when the process ends, however it ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(make_folder(part) / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(f"{out}: another process is preparing it; wait until that has finished") from error
    try:
        yield
    finally:
        lock.release()


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
