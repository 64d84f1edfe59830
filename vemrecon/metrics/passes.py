"""The three ways through a pair of volumes: tile by tile, section by section, and in blocks for Fourier transforms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics import Metric

from vemrecon.metrics.spectrum import folded_spectra
from vemrecon.metrics.tiles import Readable, TilePair, read_pair, tile_batches
from vemrecon.metrics.whole_sections import WholeSectionMetric
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, triple

SLAB_VOXELS = 2**21  # sections that are held at once; a float64 map of them is 16 MB
MOST_VOXELS_3D = 2**23  # MS-SSIM of a volume holds a dozen float64 maps of it

SHORTEST_SPECTRAL_SIDE = 16  # below, a curve has a handful of shells

Done = Callable[[float], None]
"""Called with the number of voxels that are finished."""


class SpectralMetric(Protocol):
    """Adds up spectra of blocks."""

    taper: str
    """Before the transform: hann or none."""

    def update(self, folded: NDArray[np.float64], block: int = 0) -> None:
        """Add the spectra of one block, from `folded_spectra`."""


def bounding_region(regions: Sequence[Region]) -> Region:
    """The smallest region that contains all others."""
    return Region(
        triple([min(r.start[axis] for r in regions) for axis in range(3)]),
        triple([max(r.stop[axis] for r in regions) for axis in range(3)]),
    )


def too_short(region: Region) -> str:
    """Why the spectrum of a region says nothing; empty if it does."""
    short = min(region.shape) < SHORTEST_SPECTRAL_SIDE
    return f"not defined: a side is shorter than {SHORTEST_SPECTRAL_SIDE}" if short else ""


def tile_pass(
    truth: Readable,
    reconstruction: Readable,
    regions: Sequence[Region],
    metrics: Sequence[Metric],
    halo: int,
    done: Done,
) -> None:
    """Show every tile that touches a region to all metrics.

    Tiles are shared out among as many threads as torch may use. Each thread works alone on its tiles, with its own
    copies of the metrics, so the many short operations never wait for another core. States are sums; the copies are
    added up at the end. The share of a thread is fixed: the same number of threads gives the same bits.
    """
    crews = [list(metrics), *(copy.deepcopy(list(metrics)) for _ in range(torch.get_num_threads() - 1))]

    def work(crew: Sequence[Metric], share: Sequence[TilePair]) -> float:
        for tile in share:
            if any(region.overlaps(tile.core) for region in regions):
                for metric in crew:
                    metric.update(tile)
        return float(sum(tile.core.voxels for tile in share))

    with _crew(torch.get_num_threads()) as pool:
        running: Iterable[float] = ()
        for batch in tile_batches(truth, reconstruction, bounding_region(regions), halo):
            finished = sum(running)  # waits; the batch was read meanwhile
            running = pool.map(work, crews, [batch[k :: len(crews)] for k in range(len(crews))])
            done(finished)
        done(sum(running))
    for crew in crews[1:]:
        for metric, other in zip(metrics, crew, strict=True):
            metric.merge_state(other)


@contextmanager
def _crew(size: int) -> Iterator[ThreadPoolExecutor]:
    """Workers among whom the threads of torch are divided; with one thread each, none waits inside an operation."""
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(size, initializer=torch.set_num_threads, initargs=(threads // size,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def section_pass(truth: Readable, reconstruction: Readable, metric: WholeSectionMetric, done: Done) -> None:
    """Compare whole sections of every plane, a slab at a time; small volumes also as a whole.

    The sections of a slab are shared out among threads, each of which works alone, as in `tile_pass`; a metric that
    works `one_by_one` gets all threads for one batch of them.
    """
    workers = 1 if metric.one_by_one else torch.get_num_threads()
    for i, region in enumerate(metric.scopes):
        for plane, normal in NORMALS.items():
            if not metric.defined(i, plane):
                done(region.voxels)
                continue
            with _crew(workers) as pool:
                for slab in _slabs(region, normal):
                    a, b = (v.movedim(normal, 0) for v in read_pair(truth, reconstruction, slab))
                    values = pool.map(metric.compare, a.chunk(workers), b.chunk(workers))
                    metric.update(i, plane, slab.start[normal] - region.start[normal], torch.cat([*values]))
                    done(slab.voxels)
        if metric.defined(i, "volume") and region.voxels <= MOST_VOXELS_3D:
            a, b = read_pair(truth, reconstruction, region)
            metric.update(i, "volume", 0, metric.compare(a[None], b[None]))


def _slabs(region: Region, normal: int) -> Iterator[Region]:
    area = region.voxels // region.shape[normal]
    size = list(region.shape)
    size[normal] = max(1, SLAB_VOXELS // area)
    return region.blocks(size)


def spectral_pass(
    truth: Readable,
    reconstruction: Readable,
    blocks: Sequence[Region],
    metrics: Sequence[SpectralMetric],
    done: Done,
) -> None:
    """Transform every block once per taper that is needed, and show the spectra to all metrics."""
    tapers = {metric.taper for metric in metrics}
    for k, block in enumerate(blocks):
        a, b = read_pair(truth, reconstruction, block)
        for taper in sorted(tapers):
            folded = folded_spectra(a, b, taper)
            for metric in metrics:
                if metric.taper == taper:
                    metric.update(folded, k)
        done(block.voxels)
