"""`make_phantom`: a procedural volume that looks like neural tissue under the electron microscope.

For tests, examples and the first training run on a machine without data. It is isotropic by construction, so what a
reconstruction of it gets wrong is not in the tissue. It does not replace real volumes in a comparison of methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vemrecon.data.neuropil import (
    Floats,
    Lattice,
    Processes,
    grow_processes,
    length,
    make_lattice,
    partition,
    rounded,
    spline_noise,
)
from vemrecon.errors import DataError
from vemrecon.seeding import derive
from vemrecon.volume.region import Triple, triple
from vemrecon.volume.voxels import VoxelSize

PHANTOM_VERSION = 1  # raise it with every change of the voxels
SMALLEST_SIDE = 8  # voxels
MEMBRANE_NM = 10.0  # half of the dark band between two cells, so two bilayers with a narrow cleft
CYTOPLASM, MEMBRANE, MATRIX, CRISTA, DENSITY = 168.0, 74.0, 94.0, 58.0, 45.0  # grey before blur and noise


@dataclass(frozen=True)
class Phantom:
    """A grey volume and the truth behind it, all of shape (z, y, x)."""

    grey: NDArray[np.uint8]
    cells: NDArray[np.int32]  # instances from 1; 0 is membrane and extracellular space
    mitochondria: NDArray[np.int32]  # instances from 1; 0 is everything else
    membranes: NDArray[np.bool_]  # where no cell is
    voxel_size: VoxelSize


@dataclass(frozen=True)
class Tissue:
    """Processes and the voxels that they own, before any organelle is placed."""

    shape: Triple
    voxel: float  # nm
    seed: int
    lattice: Lattice
    processes: Processes
    path: Floats  # (n, 3) nm, centres of the processes' spheres in the volume
    owner: NDArray[np.int32]  # process of every voxel, from 1
    depth: Floats  # nm below the cell's boundary

    def noise(self, name: str, pitch_nm: float) -> NDArray[np.float32]:
        """Smooth noise with mean 0 and variance near 1, shape of the volume."""
        return spline_noise(derive(self.seed, "phantom", name), self.shape, pitch_nm / self.voxel)

    def around(self, points: Floats, margin: float) -> tuple[slice, ...]:
        """The part of the volume, perhaps empty, within a box around points (n, 3) in nm."""
        low = np.floor((points.min(axis=0) - margin) / self.voxel).astype(int)
        high = np.ceil((points.max(axis=0) + margin) / self.voxel).astype(int) + 1
        return tuple(slice(max(a, 0), max(min(b, n), 0)) for a, b, n in zip(low, high, self.shape, strict=True))


def make_phantom(
    shape: Sequence[int] = (128, 256, 256), seed: int = 0, voxel_size_nm: float = 8.0, *, noise: bool = True
) -> Phantom:
    """A volume of procedural neuropil, the same for the same arguments on every platform.

    Args:
        shape: Voxels along z, y and x, each at least 8. Volumes of other shapes show other tissue.
        seed: Number of the specimen.
        voxel_size_nm: Edge of the cubic voxel, 2 to 32 nm; structures keep their size in nm.
        noise: Whether to add the noise of the detector; without it, the same specimen as one could never record it.

    Raises:
        DataError: If the shape or the voxel size cannot be used.

    >>> phantom = make_phantom((8, 16, 16), seed=1)
    >>> phantom.grey.shape, phantom.grey.dtype.name
    ((8, 16, 16), 'uint8')
    """
    size = _checked_shape(shape)
    if not 2 <= voxel_size_nm <= 32:
        raise DataError(f"a phantom has voxels of 2 to 32 nm, got {voxel_size_nm} nm; degrade it for coarser ones")
    tissue = _grow(size, seed, float(voxel_size_nm))
    cells = _compact(np.where(tissue.depth >= MEMBRANE_NM, tissue.owner, 0))
    mitochondria, mito_depth = _mitochondria(tissue)
    grey = _cytoplasm(tissue)
    _draw_vesicles(grey, tissue, mitochondria)
    _blend(grey, MEMBRANE, np.clip((MEMBRANE_NM + 7 - tissue.depth) / 10, 0, 1))
    _draw_synapses(grey, tissue)
    _draw_mitochondria(grey, tissue, mitochondria, mito_depth)
    return Phantom(_photograph(grey, tissue, noise), cells, mitochondria, cells == 0, VoxelSize(*[voxel_size_nm] * 3))


def _checked_shape(shape: Sequence[int]) -> Triple:
    try:
        size = triple(shape)
        usable = all(a == b for a, b in zip(size, shape, strict=True)) and min(size) >= SMALLEST_SIDE
    except (TypeError, ValueError):
        usable = False
    if not usable:
        raise DataError(f"a phantom needs three sides (z, y, x) of at least {SMALLEST_SIDE} voxels, got {shape!r}")
    return size


def _grow(shape: Triple, seed: int, voxel: float) -> Tissue:
    lattice = make_lattice(derive(seed, "phantom", "warp"), shape, voxel)
    processes = grow_processes(derive(seed, "phantom", "processes"), shape, voxel)
    owner, depth = partition(lattice, processes, shape)
    return Tissue(shape, voxel, seed, lattice, processes, lattice.unwarp(processes.centre), owner, depth)


def _compact(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same instances numbered 1, 2, 3 ... without gaps."""
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    return np.where(present, np.cumsum(present), 0).astype(np.int32)[labels]


def _blend(grey: Floats, target: float | Floats, weight: Floats) -> None:
    """Move grey towards a target by a weight in [0, 1], in place."""
    grey += (target - grey) * weight


def _mitochondria(tissue: Tissue) -> tuple[NDArray[np.int32], Floats]:
    """Labels of sausages along the axes of wide processes, and the depth below their surface in nm."""
    rng = derive(tissue.seed, "phantom", "mitochondria")
    labels, inside = np.zeros(tissue.shape, np.int32), np.zeros(tissue.shape, np.float32)
    waves = tissue.noise("mitochondria", 100)
    for owner, chain in enumerate(tissue.processes.chains()):
        start = chain.start + int(rng.integers(0, 14))
        while start < chain.stop:
            stop = min(start + int(rng.integers(6, 26)), chain.stop)
            widest, wanted = 85 + 125 * rng.random(), rng.random() < 0.65
            if wanted and tissue.processes.radius[start:stop].mean() > 70 and stop - start > 3:
                _stamp_mitochondrion(tissue, labels, inside, waves, owner, slice(start, stop), widest)
            start = stop + int(rng.integers(4, 26))
    return _compact(labels), inside


def _stamp_mitochondrion(
    tissue: Tissue, labels: NDArray[np.int32], inside: Floats, waves: Floats, owner: int, part: slice, widest: float
) -> None:
    """Write one mitochondrion around a part of a chain; its sphere index is the label until labels are compacted."""
    edge = tissue.lattice.stride
    box = tissue.around(tissue.path[part], widest + 40)
    if any(side.stop <= side.start for side in box):
        return
    nodes = tissue.lattice.warped[tuple(slice(s.start // edge, -(-s.stop // edge) + 1) for s in box)]
    radius = np.minimum(0.85 * tissue.processes.radius[part], widest)
    centre = tissue.processes.centre[part]
    surface = np.full(nodes.shape[:3], np.inf)
    for point, size in zip(centre, radius, strict=True):
        surface = np.minimum(surface, length(nodes - point) - size)
    dense = tissue.lattice.interpolate(rounded(surface, 256))
    dense = dense[tuple(slice(s.start % edge, s.start % edge + s.stop - s.start) for s in box)]
    # 24 nm of cytoplasm stay between the mitochondrion and the membrane of its cell, whose bulges it follows
    depth = np.minimum(-dense, tissue.depth[box] - (MEMBRANE_NM + 24)) + 9 * np.clip(waves[box], -2, 2)
    mine = (depth > 0) & (tissue.owner[box] == owner + 1) & (labels[box] == 0)
    labels[box][mine] = part.start + 1
    inside[box][mine] = depth[mine]


def _cytoplasm(tissue: Tissue) -> NDArray[np.float32]:
    """Grey of the cells' inside: a base per cell, granules, cisternae and microtubules."""
    rng = derive(tissue.seed, "phantom", "cells")
    count = len(tissue.processes.chains()) + 1
    base = CYTOPLASM + 25 * np.clip(rng.standard_normal(count), -2.0, 1.3)
    rough = 0.35 + rng.random(count)
    grey = base.astype(np.float32)[tissue.owner]
    granules = tissue.noise("granules", 28)
    texture = 10 - 34 * np.clip(granules - 0.2, 0, 1.4) + 11 * tissue.noise("clouds", 85)
    grey += texture * rough.astype(np.float32)[tissue.owner]
    deep = np.clip((tissue.depth - 30) / 10, 0, 1)
    cisternae = tissue.noise("cisternae", 85)
    _blend(grey, MEMBRANE + 25, np.clip(1.6 - np.abs(cisternae - 1.35) * 8, 0, 1) * deep)
    _blend(grey, CYTOPLASM - 40, 0.8 * _microtubules(tissue) * np.clip(deep, 0, 1))
    return grey


def _microtubules(tissue: Tissue) -> Floats:
    """Weight in [0, 1] of thin threads that run along the wide processes."""
    rng = derive(tissue.seed, "phantom", "microtubules")
    threads = []
    for chain in tissue.processes.chains():
        path, radius = tissue.path[chain], tissue.processes.radius[chain]
        count = int(rng.integers(0, 1 + int((min(radius.mean(), 200) / 45) ** 2)))
        offset = (rng.random((count, 1, 3)) - 0.5) * 1.3 * radius.mean()
        threads.append((_refined(path, 8) + offset).reshape(-1, 3))
    at = np.rint(np.concatenate(threads) / tissue.voxel).astype(int)
    at = at[((at >= 0) & (at < tissue.shape)).all(axis=1)]
    weight = np.zeros(tissue.shape, np.float32)
    weight[tuple(at.T)] = 1
    return np.minimum(3 * _binomial(weight), 1)


def _refined(path: Floats, times: int) -> Floats:
    """A path with further points on the straight lines between its points."""
    steps = np.arange(times)[:, None] / times
    return (path[:-1, None] + (path[1:] - path[:-1])[:, None] * steps).reshape(-1, 3)


def _clusters(tissue: Tissue) -> list[tuple[int, Floats]]:
    """Owner and centre in nm of every presynaptic site."""
    rng = derive(tissue.seed, "phantom", "synapses")
    found = []
    for owner, chain in enumerate(tissue.processes.chains()):
        wanted, place = rng.random() < 0.5, int(rng.integers(chain.start, chain.stop))
        if wanted and tissue.processes.radius[chain].mean() > 75:
            found.append((owner + 1, tissue.path[place]))
    return found


def _draw_vesicles(grey: Floats, tissue: Tissue, mitochondria: NDArray[np.int32]) -> None:
    """Clusters of vesicles of about 40 nm: a dark ring around a lumen that is a little lighter."""
    rng = derive(tissue.seed, "phantom", "vesicles")
    centres = []
    for owner, middle in _clusters(tissue):
        spread = 150 + 150 * rng.random()
        seeds = rounded(middle + spread * (2 * rng.random((900, 3)) - 1))
        near = length(seeds - middle) < spread
        at = np.rint(seeds / tissue.voxel).astype(int)
        within = near & ((at >= 0) & (at < tissue.shape)).all(axis=1)
        seeds, at = seeds[within], tuple(at[within].T)
        fits = (tissue.owner[at] == owner) & (tissue.depth[at] > MEMBRANE_NM + 16) & (mitochondria[at] == 0)
        seeds = seeds[fits]
        pairs = cKDTree(seeds).query_pairs(40.0, output_type="ndarray") if len(seeds) else np.empty((0, 2), int)
        free = np.ones(len(seeds), bool)
        for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:
            free[second] &= not free[first]
        centres.append(seeds[free])
    points = np.concatenate([np.empty((0, 3)), *centres])
    radius = 15 + 4 * rng.random((len(points), 1))  # nm, to the middle of the ring
    reach = int(34 / tissue.voxel)
    offsets = np.moveaxis(np.indices([2 * reach + 1] * 3), 0, -1).reshape(-1, 3) - reach
    at = np.rint(points / tissue.voxel).astype(int)[:, None] + offsets
    distance = length(at * tissue.voxel - points[:, None])
    ring = np.clip(1.5 - np.abs(distance - radius) / 6, 0, 1)
    lumen = np.clip((radius - distance) / 6, 0, 1)
    valid = ((at >= 0) & (at < tissue.shape)).all(axis=-1)
    for target, amount, weight in ((CYTOPLASM + 12, 0.8, lumen), (MEMBRANE + 12, 0.8, ring)):
        field = np.zeros(tissue.shape, np.float32)
        np.maximum.at(field, tuple(at[valid].T), weight[valid].astype(np.float32))
        _blend(grey, target, np.float32(amount) * field)


def _draw_synapses(grey: Floats, tissue: Tissue) -> None:
    """A dark density on the membrane beside each vesicle cluster, thicker on the side of the other cell."""
    rng = derive(tissue.seed, "phantom", "densities")
    for owner, middle in _clusters(tissue):
        choice, size = rng.random(), 90 + 70 * rng.random()
        box = tissue.around(middle[None], 260)
        edge = np.argwhere((tissue.owner[box] == owner) & (tissue.depth[box] < MEMBRANE_NM))
        if len(edge) == 0:
            continue
        spot = (edge[int(choice * len(edge))] + [s.start for s in box]) * tissue.voxel
        box = tissue.around(spot[None], size)
        places = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), axis=-1)
        near = np.clip(2 - 2 * length(places * tissue.voxel - spot) / size, 0, 1)
        thickness = np.where(tissue.owner[box] == owner, 16, 38)
        _blend(grey[box], DENSITY, near * np.clip(1.3 - tissue.depth[box] / thickness, 0, 1))


def _draw_mitochondria(grey: Floats, tissue: Tissue, labels: NDArray[np.int32], depth: Floats) -> None:
    """Two dark membranes with a thin gap, a dark matrix, and cristae as wavy parallel lamellae."""
    rng = derive(tissue.seed, "phantom", "cristae")
    at = np.nonzero(labels)
    label, below = labels[at], depth[at]
    count = int(labels.max()) + 1
    normal = rng.standard_normal((count, 3))
    normal = normal / length(normal)[:, None] / (44 + 22 * rng.random((count, 1)))  # one lamella in 44 to 66 nm
    matrix = MATRIX + 18 * np.clip(rng.standard_normal(count), -1.5, 1.5)
    contrast = 0.5 + 0.5 * rng.random(count)
    waves = 0.6 * tissue.noise("waves", 110)[at]
    phase = rounded(sum(normal[label, axis] * at[axis] * tissue.voxel for axis in range(3)) + waves, 4096)
    lamella = np.clip(np.abs(2 * (phase - np.floor(phase)) - 1) * 3 - 1.7, 0, 1)
    patchy = np.clip(0.85 + tissue.noise("patches", 90)[at], 0, 1) * np.clip(below / 10 - 1, 0, 1)
    inner = matrix[label] + 5 * tissue.noise("granules", 22)[at]
    _blend(inner, CRISTA - 14, contrast[label] * lamella * patchy)
    outer = np.clip(1.4 - np.abs(below - 4) / 5, 0, 1)
    cleft = 0.5 * np.clip(1 - np.abs(below - 11) / 4, 0, 1)
    second = np.clip(1.2 - np.abs(below - 18) / 5, 0, 1)
    for target, weight in ((CRISTA, 0.9 * outer), (MATRIX + 25, cleft), (CRISTA, 0.7 * second)):
        _blend(inner, target, weight)
    grey[at] = inner


def _binomial(field: Floats) -> Floats:
    """Blur with the kernel 1/4, 1/2, 1/4 along every axis; only exact or correctly rounded operations."""
    for axis in range(3):
        blurred = 2 * field
        source, target = np.moveaxis(field, axis, 0), np.moveaxis(blurred, axis, 0)
        target[1:] += source[:-1]
        target[:-1] += source[1:]
        target[0] += source[0]
        target[-1] += source[-1]
        blurred *= np.float32(0.25)
        field = blurred
    return field


def _photograph(grey: Floats, tissue: Tissue, noise: bool) -> NDArray[np.uint8]:
    """Point spread, uneven illumination, and perhaps noise whose variance grows with the signal."""
    seen = _binomial(_binomial(_binomial(grey)))
    seen *= 1 + np.float32(0.03) * np.clip(tissue.noise("charging", 1500), -2, 2)
    if noise:
        rng = derive(tissue.seed, "phantom", "noise")
        variance = np.float32(0.18) * np.maximum(seen, 0) + np.float32(10)  # Poisson part and read-out part
        seen += np.sqrt(variance) * rng.standard_normal(tissue.shape, dtype=np.float32)
    # first to 1/256 grey level: then a last-bit difference almost never reaches the final rounding
    return np.clip(np.rint(rounded(seen, 256)), 0, 255).astype(np.uint8)
