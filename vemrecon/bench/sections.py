"""Central sections of a run's volumes, kept for the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.task_volumes import TaskVolumes
from vemrecon.files import atomic_write
from vemrecon.volume import Region, Volume, quantise

PICTURE = 256  # voxels a side of the sections that go into the report
STACK, SIDE = 12, 128
"""Sections through the whole depth, and voxels a side of each."""


def write_sections(path: Path, volumes: TaskVolumes, reconstruction: Volume) -> None:
    """Central sections of truth, observed volume and reconstruction as uint8 arrays.

    The section perpendicular to the coarse axis is one that was not observed: the one farthest from observed ones near
    the centre. Lateral tasks keep the xy section alone, the plane that is scored.
    """
    made, observed = reconstruction.with_axis_first(volumes.axis), volumes.observed.with_axis_first(volumes.axis)
    roles = {"reconstruction": made, "observed": observed}
    if volumes.truth is not None:
        roles["truth"] = volumes.truth.with_axis_first(volumes.axis)
    n, count, grid = made.shape[0], observed.shape[0], observed.require_grid()
    middle = count // 2
    a = min(n - 1, grid.between(grid.extent(middle)))
    depth = max(1, min(count, int(PICTURE / grid.scale)))
    first = max(0, min(count - depth, middle - depth // 2))
    (b0, b1), (c0, c1) = (
        (max(0, side // 2 - PICTURE // 2), min(side, side // 2 + PICTURE // 2)) for side in made.shape[1:]
    )
    b, c = (b0 + b1) // 2, (c0 + c1) // 2
    arrays: dict[str, np.ndarray] = {}
    for role, volume in roles.items():
        coarse = role == "observed"
        section = min(count - 1, max(0, grid.nearest(a))) if coarse else a
        rows = (first, first + depth) if coarse else (grid.extent(first), min(n, grid.extent(first + depth)))
        planes = {
            "across": (0, Region((section, b0, c0), (section + 1, b1, c1))),
            "second": (1, Region((rows[0], b, c0), (rows[1], b + 1, c1))),
            "third": (2, Region((rows[0], b0, c), (rows[1], b1, c + 1))),
        }
        names = {"across": "xy", "second": "xz", "third": "yz"} if volumes.axis == 0 else {"second": "xy"}
        for plane, name in names.items():
            normal, region = planes[plane]
            arrays[f"{role}_{name}"] = quantise(volume.read(region), np.dtype(np.uint8)).squeeze(normal)
    depths = np.unique(np.linspace(0, n - 1, min(n, STACK)).round().astype(int))
    arrays["stack_positions"] = depths
    for role, volume in roles.items():
        if role != "observed":
            arrays[f"{role}_stack"] = _stack(volume, depths)
    place, corner = [a, b, c], [grid.extent(first), b0, c0]
    for values in (place, corner):
        values[0], values[volumes.axis] = values[volumes.axis], values[0]
    arrays |= {"position": np.array(place), "origin": np.array(corner)}
    arrays["voxel_size"] = np.array(tuple(reconstruction.require_voxel_size()))
    with atomic_write(path, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub forbids arrays by keyword


def _stack(volume: Volume, depths: NDArray[np.int_]) -> NDArray[np.uint8]:
    """The middle of some sections, shape (sections, rows, columns)."""
    (b0, b1), (c0, c1) = (
        (max(0, side // 2 - SIDE // 2), min(side, side // 2 + SIDE // 2)) for side in volume.shape[1:]
    )
    regions = (Region((int(z), b0, c0), (int(z) + 1, b1, c1)) for z in depths)
    return np.concatenate([quantise(volume.read(region), np.dtype(np.uint8)) for region in regions])
