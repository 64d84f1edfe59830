"""`TilePlan`: how a reconstruction is divided into tiles, which a method makes, and blocks, which are files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from vemrecon.errors import DataError
from vemrecon.infer.ramps import Ramps, extended
from vemrecon.infer.tile_sizes import chosen_core
from vemrecon.methods.base import TileShape
from vemrecon.volume import Region, SectionGrid
from vemrecon.volume.pyramid import Level, halved_shape, level_count
from vemrecon.volume.region import Triple, triple

FILE_VOXELS = 128 << 20
"""Most voxels of a block: files of some hundred MB, a few thousand for a terabyte."""
LEVELS_IN_PASS = 2  # of several blocks: more would be many small files
NO_REACH: Triple = (0, 0, 0)
COARSE_FILE = (256, 256, 256)  # voxels of the files of other levels


@dataclass(frozen=True)
class TilePlace:
    """What one call of a method makes.

    Attributes:
        core: Observed voxels.
        tile: The core and what lies around it.
        alone: What is made of the core, in the reconstruction.
        output: The same with what it has in common with its neighbours, where they are blended.
        inside: The output in what is made of the tile.
    """

    core: Region
    tile: Region
    alone: Region
    output: Region
    inside: Region


def axial_step(scale: float) -> int:
    """Smallest number of observed sections whose output is a whole number of sections, and an even one if need be.

    Tiles start only at multiples of it, otherwise they do not register with each other; halves of a section at their
    ends are rounded to even, which an odd number before them would change.

    >>> axial_step(8), axial_step(2.5), axial_step(4 / 3)
    (1, 4, 3)
    """
    step = Fraction(scale).limit_denominator(1000).denominator
    return step if step % 2 else 2 * step


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
        reach: How far tiles contribute beyond their cores, in voxels of the reconstruction; 0 unless they are blended.
        pyramid: Whether coarser levels are made, too.
    """

    region: Region
    shape: Triple
    grid: SectionGrid
    core: Triple
    halo: Triple
    block: Triple
    reach: Triple = (0, 0, 0)
    pyramid: bool = False

    @classmethod
    def of(
        cls,
        shape: Triple,
        grid: SectionGrid,
        tile: TileShape,
        most: int | None = None,
        region: Region | None = None,
        pyramid: bool = False,
    ) -> TilePlan:
        """The plan with the largest blocks of at most `most` voxels of output, but at least of one tile.

        Tiles are as large as the method allows, and smaller by the same factor where blocks are. By default a block is
        a file of some hundred MB, or half of that where sums are kept in floats (`TileShape.blended`).

        Raises:
            DataError: If the region is not inside, or does not begin at a whole voxel of the output.
        """
        step, region = axial_step(grid.scale), region or Region.whole(shape)
        if most is None:
            most = FILE_VOXELS // 2 if tile.blended else FILE_VOXELS
        if not Region.whole(shape).contains(region):
            raise DataError(f"region {region} lies outside the volume {Region.whole(shape)}")
        if region.start[0] % step:
            raise DataError(
                f"region {region}: at a scale of {grid.scale:g} it must begin at a multiple of {step} sections"
            )
        core = triple([max(step, tile.z // step * step), tile.y, tile.x])
        reach = tile.halo[0] + (grid != grid.canonical)
        halo = (-(-reach // step) * step, tile.halo[1], tile.halo[2])
        if tile.largest:
            core = chosen_core(shape, region, core, halo, step, tile.largest * min(1.0, most / FILE_VOXELS))
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
        block = triple([n * edge for n, edge in zip(counts, core, strict=True)])
        overlap: Triple = (int(tile.halo[0] * grid.scale), tile.halo[1], tile.halo[2])
        return cls(region, shape, grid, core, halo, block, overlap if tile.blended else NO_REACH, pyramid)

    @property
    def blended(self) -> bool:
        """Whether tiles contribute to one another."""
        return any(self.reach)

    @property
    def ramps(self) -> Ramps:
        """What tiles weigh."""
        return Ramps(self.made, self.reach)

    @property
    def made(self) -> Triple:
        """Shape of the reconstruction."""
        return self._output(self.region).shape

    @property
    def start(self) -> Triple:
        """First voxel of the reconstruction in that of the whole volume."""
        return self._output(self.region).start

    @property
    def level_count(self) -> int:
        """Levels of the image."""
        return level_count(self.made) if self.pyramid else 1

    @property
    def levels_in_pass(self) -> int:
        """Levels that are made with each block, the finest one included: where the voxels of a block become whole ones.

        The others are made of these at the end.
        """
        several = [edge for edge, n in zip(self.sides, self.made, strict=True) if edge < n]
        if not several:
            return self.level_count
        even = min((edge & -edge).bit_length() for edge in several)
        return min(even, LEVELS_IN_PASS, self.level_count)

    @property
    def levels(self) -> list[Level]:
        """How the levels of the image are stored, the finest first."""
        return [
            Level.of(
                halved_shape(self.made, n),
                [-(-edge // 2**n) for edge in self.sides] if n < self.levels_in_pass else COARSE_FILE,
            )
            for n in range(self.level_count)
        ]

    @property
    def files(self) -> int:
        """Files of voxels that the image has."""
        shapes = [(one.shape, one.shard) for one in self.levels]
        return sum(math.prod(-(-n // edge) for n, edge in zip(*one, strict=True)) for one in shapes)

    @property
    def sides(self) -> Triple:
        """Voxels of a block of output, but for the last ones along an axis."""
        return (self.grid.extent(self.block[0]), self.block[1], self.block[2])

    def neighbours(self, number: int) -> list[int]:
        """Blocks whose tiles contribute to a block, itself included."""
        counts = [-(-n // edge) for n, edge in zip(self.region.shape, self.block, strict=True)]
        place = np.unravel_index(number, counts)
        far = [-(-reach // edge) for reach, edge in zip(self.reach, self.sides, strict=True)]
        around = [range(max(0, int(k) - f), min(n, int(k) + f + 1)) for k, f, n in zip(place, far, counts, strict=True)]
        return [int(np.ravel_multi_index(one, counts)) for one in itertools.product(*around)]

    def contribution(self, number: int) -> Region:
        """What the tiles of a block contribute to, in the reconstruction."""
        return extended(self.output(self.blocks()[number]), self.reach, self.made)

    def blocks(self) -> list[Region]:
        """Observed voxels of every block, in z, y, x order."""
        return self._blocks

    @cached_property
    def _blocks(self) -> list[Region]:
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
            alone = self.output(core)
            output = extended(alone, self.reach, self.made)
            inside = output.shifted(self.start).relative_to(first)
            yield TilePlace(core, tile, alone, output, inside)
