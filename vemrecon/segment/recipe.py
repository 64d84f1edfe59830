"""`Recipe`: how a segmenter is built and trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vemrecon import protocol
from vemrecon.errors import ConfigError
from vemrecon.volume import VoxelSize
from vemrecon.volume.region import Triple

DEFAULT = "cpu"
"""Preset of the runs of methods that have no presets of this name."""
AS = {"released": "paper"}
"""Presets whose runs are judged as those of another one, so that they can be compared."""
FLAT = 1.5
"""Sections thicker than this many lateral voxels are not pooled along z, nor convolved above the coarsest level."""
DEPTH = 0.25
"""Of patches of such sections, over their width in nm: little is learned across them, much from other places."""
COARSEST_NM = 32.0
"""Side of the coarsest voxels, at least: organelles are recognised by their surroundings, however fine the voxels."""


@dataclass(frozen=True)
class Recipe:
    """Width, patches and rate of a segmenter.

    Attributes:
        filters: Channels of each level; each level but the first halves the sides, see `level_strides`. Fine voxels get
            further levels, with twice the channels each.
        voxels: Of a patch, about.
        batch: Patches at once.
        learning_rate: Of Adam, the first one.
        falling: Whether the rate falls to zero along half a cosine.
        budget: Batches; 0 where `epochs` says how many.
        epochs: Times that as many voxels are seen as there are.
        version: Of the recipes; part of the identity of a segmenter.
    """

    filters: tuple[int, ...]
    voxels: int
    batch: int
    learning_rate: float
    falling: bool
    budget: int = 0
    epochs: int = 0
    version: int = 1

    def batches(self, voxels: int) -> int:
        """Length of the training on a number of voxels, in batches."""
        return self.budget or math.ceil(self.epochs * voxels / (self.voxels * self.batch))

    def channels(self, voxel_size: VoxelSize) -> list[int]:
        """Of every level, for voxels of this size.

        >>> recipe("cpu")[1].channels(VoxelSize(10, 10, 10)), recipe("cpu")[1].channels(VoxelSize(45, 4.6, 4.6))
        ([12, 24, 48], [12, 24, 48, 96])
        """
        found = list(self.filters)
        while voxel_size.y * 2 ** (len(found) - 1) < COARSEST_NM:
            found.append(2 * found[-1])
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "filters": list(self.filters)}


def recipe(preset: str) -> tuple[str, Recipe]:
    """Name and recipe of a preset, those of `paper` for `released`, and of `cpu` for presets of a method's own.

    Raises:
        ConfigError: If the file of recipes cannot be understood.
    """
    facts = protocol.load_yaml(protocol.benchmark_folder() / "segmenters.yaml")
    preset = AS.get(preset, preset)
    name = preset if preset in facts["presets"] else DEFAULT
    return name, recipe_from(facts["presets"][name], facts["version"])


def recipe_from(facts: Mapping[str, Any], version: int = 1) -> Recipe:
    """The recipe of plain values.

    Raises:
        ConfigError: If a field is unknown or missing.
    """
    try:
        return Recipe(**{**facts, "filters": tuple(facts["filters"]), "version": version})
    except (TypeError, KeyError) as error:
        raise ConfigError(f"recipe of a segmenter: {error}") from error


def level_strides(levels: int, voxel_size: VoxelSize) -> list[Triple]:
    """Steps (z, y, x) from each level to the next coarser one; the first is (1, 1, 1).

    z waits until voxels have become about as wide as they are thick.

    >>> level_strides(4, VoxelSize(40, 8, 8))
    [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    """
    found: list[Triple] = [(1, 1, 1)]
    thick = voxel_size.z / voxel_size.y
    for _ in range(levels - 1):
        found.append((1 if thick >= FLAT else 2, 2, 2))
        thick = thick / 2 if thick >= FLAT else thick
    return found


def level_kernels(levels: int, voxel_size: VoxelSize) -> list[Triple]:
    """Sides (z, y, x) of the convolutions of each level; flat where z is much coarser than y, but on the coarsest."""
    thick = voxel_size.z / voxel_size.y
    found: list[Triple] = []
    for level, stride in enumerate(level_strides(levels, voxel_size), start=1):
        thick = thick / stride[1] * stride[0]
        found.append((1 if thick >= FLAT and level < levels else 3, 3, 3))
    return found


def patch_shape(voxels: int, multiple: Triple, voxel_size: VoxelSize, within: Triple) -> Triple:
    """Sides (z, y, x) of a patch of about `voxels` voxels: a cube in nm, or flat where sections are thick.

    Args:
        voxels: Wanted.
        multiple: What each side must divide by.
        voxel_size: Of the volume.
        within: Shape of the smallest volume; sides are cut to what fits.
    """
    thick = voxel_size.z / (DEPTH if voxel_size.z / voxel_size.y >= FLAT else 1)
    sizes = (thick, voxel_size.y, voxel_size.x)
    edge = (voxels * math.prod(sizes)) ** (1 / 3)
    sides = [
        max(m, min(round(edge / size / m), n // m) * m) for m, size, n in zip(multiple, sizes, within, strict=True)
    ]
    return (sides[0], sides[1], sides[2])
