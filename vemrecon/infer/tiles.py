"""`TilePlan`: how a reconstruction is divided into tiles, which a method makes, and blocks, which are files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from vemrecon.errors import DataError
from vemrecon.methods.base import TileShape
from vemrecon.volume import Region, SectionGrid
from vemrecon.volume.region import Triple, triple

FILE_VOXELS = 128 << 20
"""Most voxels of a block: files of some hundred MB, a few thousand for a terabyte."""
CHUNK = 64  # voxels that chunks should have along an edge
LARGEST_CHUNK = 128


@dataclass(frozen=True)
class TilePlace:
    """What one call of a method makes.

    Attributes:
        core: Observed voxels.
        tile: The core and what lies around it.
        output: What is made of the core, in the reconstruction.
        inside: The same in what is made of the tile.
    """

    core: Region
    tile: Region
    output: Region
    inside: Region


def axial_step(scale: float) -> int:
    """Smallest number of observed sections whose output is a whole number of sections.

    Tiles start only at multiples of it, otherwise they do not register with each other: 2 for a scale of 2.5.
    """
    return Fraction(scale).limit_denominator(1000).denominator


@dataclass(frozen=True)
class TilePlan:
    """Tiles and blocks of a reconstruction, in the coordinates of the method: the coarse axis is the first.

    Attributes:
        region: What is reconstructed, in observed voxels; tiles see beyond it.
        shape: Of the observed volume.
        grid: Where its sections lie. If they begin behind the first voxel, the first voxels of a tile lie before its
            first section, so that it sees one more of them.
        core: Of a tile, in observed voxels.
        halo: Of a tile.
        block: Of a block, in observed voxels: a whole number of tiles.
    """

    region: Region
    shape: Triple
    grid: SectionGrid
    core: Triple
    halo: Triple
    block: Triple

    @classmethod
    def of(
        cls,
        shape: Triple,
        grid: SectionGrid,
        tile: TileShape,
        most: int = FILE_VOXELS,
        region: Region | None = None,
    ) -> TilePlan:
        """The plan with the largest blocks of at most `most` voxels of output, but at least of one tile.

        Raises:
            DataError: If the region is not inside, or does not begin at a whole voxel of the output.
        """
        step, region = axial_step(grid.scale), region or Region.whole(shape)
        if not Region.whole(shape).contains(region):
            raise DataError(f"region {region} lies outside the volume {Region.whole(shape)}")
        if region.start[0] % step:
            raise DataError(
                f"region {region}: at a scale of {grid.scale:g} it must begin at a multiple of {step} sections"
            )
        core = triple([max(step, tile.z // step * step), tile.y, tile.x])
        reach = tile.halo[0] + (grid != grid.canonical)
        halo = (-(-reach // step) * step, tile.halo[1], tile.halo[2])
        needed = [-(-n // edge) for n, edge in zip(region.shape, core, strict=True)]
        counts = [1, 1, 1]

        def sides() -> list[float]:
            scales = (grid.scale, 1, 1)
            return [n * edge * scale for n, edge, scale in zip(counts, core, scales, strict=True)]

        while open_axes := [axis for axis in range(3) if counts[axis] < needed[axis]]:
            axis = min(open_axes, key=lambda k: sides()[k])
            wanted = min(2 * counts[axis], needed[axis])
            if math.prod(sides()) * wanted / counts[axis] > most:
                break
            counts[axis] = wanted
        return cls(region, shape, grid, core, halo, triple([n * edge for n, edge in zip(counts, core, strict=True)]))

    @property
    def made(self) -> Triple:
        """Shape of the reconstruction."""
        return self._output(self.region).shape

    @property
    def start(self) -> Triple:
        """First voxel of the reconstruction in that of the whole volume."""
        return self._output(self.region).start

    @property
    def shard(self) -> Triple:
        """Voxels of a block of output, those beyond the end of the volume included."""
        sides = (self.grid.extent(self.block[0]), *self.block[1:])
        return triple([_shard(n, side)[0] for n, side in zip(self.made, sides, strict=True)])

    @property
    def chunk(self) -> Triple:
        """Voxels of the parts of a block that can be read by themselves."""
        sides = (self.grid.extent(self.block[0]), *self.block[1:])
        return triple([_shard(n, side)[1] for n, side in zip(self.made, sides, strict=True)])

    def blocks(self) -> list[Region]:
        """Observed voxels of every block, in z, y, x order."""
        return list(self.region.blocks(self.block))

    def output(self, core: Region) -> Region:
        """What is made of observed voxels, counted from the first voxel of the reconstruction."""
        return self._output(core).relative_to(self.start)

    def _output(self, core: Region) -> Region:
        """What is made of observed voxels, in the whole volume."""
        start = triple([self.grid.extent(core.start[0]), *core.start[1:]])
        return Region(start, triple([self.grid.extent(core.stop[0]), *core.stop[1:]]))

    def tiles(self, within: Region | None = None) -> Iterator[TilePlace]:
        """Tiles of the region, or of a block, that cover it without overlap, in z, y, x order."""
        whole = Region.whole(self.shape)
        for core in (within or self.region).blocks(self.core):
            tile = core.expanded(self.halo, whole)
            first = (self.grid.extent(tile.start[0]), *tile.start[1:])
            yield TilePlace(core, tile, self.output(core), self._output(core).relative_to(first))


def _shard(length: int, side: int) -> tuple[int, int]:
    """Edges of shards and chunks along an axis; a shard is a whole number of chunks.

    >>> _shard(1000, 256), _shard(90, 256), _shard(200, 256), _shard(1000, 350)
    ((256, 64), (90, 90), (256, 64), (350, 70))
    """
    if side < length:
        edges = [n for n in range(1, min(side, LARGEST_CHUNK) + 1) if side % n == 0] + [side]
        return side, min(edges, key=lambda n: abs(math.log(n / CHUNK)))
    chunk = length if length <= LARGEST_CHUNK else CHUNK
    return -(-length // chunk) * chunk, chunk
