"""Masks of damage: parts of sections that are to be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import ConfigError
from vemrecon.volume import Reading, Region, Volume, open_volume

Masks = Mapping[int, NDArray[np.bool_]]
"""Damaged voxels (y, x) by section; sections without any are left out."""


def read_damage(path: Path, volume: Volume) -> Masks:
    """Damaged voxels of a volume, from a file of its shape that is not zero there.

    Raises:
        ConfigError: If it is of another shape.
        DataError: If it cannot be read.
    """
    return damage_in(open_volume(path, reading=Reading(missing="fill")), volume, f"--damage {path}")


def damage_in(mask: Volume, volume: Volume, said: str) -> Masks:
    """Damaged voxels of a volume, from one of its shape that is not zero there.

    Args:
        mask: Read section by section.
        volume: What is damaged.
        said: How the mask is called.

    Raises:
        ConfigError: If it is of another shape.
    """
    if mask.shape != volume.shape:
        shapes = [" x ".join(map(str, one.shape)) for one in (mask, volume)]
        raise ConfigError(f"{said}: has {shapes[0]} voxels (z, y, x), the volume {shapes[1]}")
    z, y, x = mask.shape
    found = ((k, mask.read_raw(Region((k, 0, 0), (k + 1, y, x)))[0] != 0) for k in range(z))
    return {k: damaged for k, damaged in found if damaged.any()}
