"""Geometry of a procedural neuropil: curved processes that fill space, and the membranes between them.

Every process is a chain of spheres along a random walk. The chains live in a *warped* space; a voxel belongs to the
chain whose surface is nearest to its warped position. Distances are computed on a coarse lattice of nodes, about 32 nm
apart, where they are smooth, and interpolated to the voxels.

Positions are rounded to 1/64 nm, so that squared distances are exact in double precision and every comparison has the
same outcome on every processor, whether or not it fuses multiplication and addition.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Floats = NDArray[np.floating]

MARGIN_NM = 330.0  # processes also start outside the volume, so that its faces look like its middle
STEP_NM = 32.0  # distance of two spheres of a chain; the ripple of a 60 nm process stays near 2 nm
CHAIN = 96  # spheres of an untrimmed chain, about 3 micrometres
SHORTEST = 4  # spheres of the shortest chain that is kept
NODES = 4  # node intervals along the edge of a block
FAR_NM = 512.0  # surface distance reported where no second process is near
# Radii from large to small and proposals per cubic micrometre: large dendrites first, then whatever fits between.
CALIBRES = ((310, 0.35), (240, 0.7), (180, 2.0), (140, 4.5), (108, 12), (84, 26), (66, 45), (52, 60), (42, 60))


def rounded(values: Floats, fraction: int = 64) -> Floats:
    """Values rounded to the given fraction of one, which removes differences in the last bits."""
    scaled = values * fraction
    np.rint(scaled, out=scaled)
    scaled /= fraction
    return scaled


def length(vectors: Floats) -> Floats:
    """Euclidean length along the last axis, which has three entries; summed in a fixed order."""
    z, y, x = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.sqrt(z * z + y * y + x * x)


def spline_noise(rng: np.random.Generator, shape: Sequence[int], pitch: float) -> NDArray[np.float32]:
    """Smooth noise with mean 0 and variance near 1: a cubic B-spline with random coefficients.

    Args:
        rng: Source of the coefficients and of the position of their lattice.
        shape: Shape of the result, any number of axes.
        pitch: Distance of the coefficients in samples; the noise is correlated over about two of them.
    """
    field = rng.standard_normal([int(n / pitch) + 5 for n in shape], dtype=np.float32)
    for axis in reversed(range(len(shape))):  # axis 0 last: the largest pass runs over contiguous sections
        position = np.arange(shape[axis]) / pitch + rng.random()
        left = position.astype(int)
        t = (position - left).astype(np.float32)
        s = 1 - t
        weights = [
            s * s * s / 6,
            (4 - 6 * t * t + 3 * t * t * t) / 6,
            (4 - 6 * s * s + 3 * s * s * s) / 6,
            t * t * t / 6,
        ]
        source = np.moveaxis(field, axis, 0)
        target = np.empty((shape[axis], *source.shape[1:]), np.float32)
        for i, first in enumerate(left):
            target[i] = source[first] * weights[0][i]
            for tap in (1, 2, 3):
                target[i] += source[first + tap] * weights[tap][i]
        target *= np.float32(math.sqrt(315 / 151))  # 151/315 is the mean sum of squared weights along one axis
        field = np.moveaxis(target, 0, axis)
    return np.ascontiguousarray(field)


@dataclass(frozen=True)
class Processes:
    """Chains of spheres in warped space, sorted by owner."""

    centre: Floats  # (n, 3) nm
    radius: Floats  # (n,) nm
    owner: NDArray[np.int32]  # (n,) chains count from 0

    def chains(self) -> list[slice]:
        """The spheres of every chain."""
        edges = np.searchsorted(self.owner, np.arange(int(self.owner.max(initial=-1)) + 2))
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


@dataclass(frozen=True)
class Lattice:
    """Coarse nodes over the volume and their warped positions."""

    warped: Floats  # (nodes z, nodes y, nodes x, 3) nm
    stride: int  # voxels per node interval
    voxel: float  # nm

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks of `NODES` node intervals along each axis."""
        return tuple((n - 1) // NODES for n in self.warped.shape[:3])

    def unwarp(self, points: Floats) -> Floats:
        """Positions in the volume, in nm, of points in warped space; shape (n, 3)."""
        pitch = self.stride * self.voxel
        shift = self.warped - np.moveaxis(np.indices(self.warped.shape[:3]), 0, -1) * pitch
        found = points
        for _ in range(6):  # the warp is a contraction: the error shrinks at least threefold each time
            at = [found[:, axis] / pitch for axis in range(3)]
            moved = [ndimage.map_coordinates(shift[..., axis], at, order=1, mode="nearest") for axis in range(3)]
            found = points - np.stack(moved, axis=-1)
        return rounded(found)

    def interpolate(self, values: Floats) -> NDArray[np.float32]:
        """Node values (..., z, y, x) at the voxels between the first and the last node of each axis."""
        field: NDArray[np.float32] = values.astype(np.float32)
        steps = np.arange(self.stride, dtype=np.float32)[:, None] / np.float32(self.stride)
        for axis in (-1, -2, -3):  # the last axis first, so that the largest pass runs over the longest rows
            before, count, behind = field.shape[:axis], field.shape[axis], field.shape[field.ndim + axis + 1 :]
            rows = field.reshape(-1, count, 1, math.prod(behind))
            low, high = rows[:, :-1], rows[:, 1:]
            field = (low + (high - low) * steps).reshape(*before, (count - 1) * self.stride, *behind)
        return field


def make_lattice(rng: np.random.Generator, shape: Sequence[int], voxel: float) -> Lattice:
    """Nodes that cover a volume, displaced by smooth noise of three wavelengths."""
    stride = 1
    while stride * 2 * voxel <= 32:
        stride *= 2
    pitch = stride * voxel
    nodes = [-(-n // (NODES * stride)) * NODES + 1 for n in shape]
    warped = np.moveaxis(np.indices(nodes), 0, -1) * pitch
    for wavelength, amplitude in ((420, 70), (210, 34), (110, 13)):  # nm; steeper warps would fold the space
        for axis in range(3):
            warped[..., axis] += amplitude * spline_noise(rng, nodes, wavelength / pitch)
    return Lattice(rounded(warped), stride, voxel)


def _walks(rng: np.random.Generator, count: int, radius: float, extent: Floats) -> tuple[Floats, Floats]:
    """Centres (count, CHAIN, 3) and radii (count, CHAIN) of persistent random walks that start in the box."""
    heading = rng.standard_normal((count, 3))
    bend = 0.10 if radius > 120 else 0.16  # thin processes wind more
    headings = []
    for _ in range(CHAIN):
        heading = heading / length(heading)[:, None]
        headings.append(heading)
        heading = heading + bend * rng.standard_normal((count, 3))
    path = np.cumsum(np.stack(headings, axis=1), axis=1) * STEP_NM
    start = rng.random((count, 1, 3)) * (extent + 2 * MARGIN_NM) - MARGIN_NM
    swelling = spline_noise(rng, (count * 14, CHAIN), 7.0)[::14]  # rows two pitches apart are hardly correlated
    return rounded(path - path[:, CHAIN // 2, None] + start), rounded(radius * np.clip(1 + 0.22 * swelling, 0.6, 1.6))


def _free(centre: Floats, radius: Floats, walk: NDArray[np.intp], placed: Processes) -> NDArray[np.bool_]:
    """Which of n spheres enter neither a placed process nor an earlier walk of the same round."""
    free = np.ones(len(centre), bool)
    pairs = cKDTree(centre).query_pairs(1.5 * float(np.median(radius)), output_type="ndarray")
    pairs = pairs[walk[pairs[:, 0]] != walk[pairs[:, 1]]]
    free[pairs.max(axis=1)] = False
    if len(placed.radius):
        # A fourth coordinate turns the power distance d^2 - r^2 into a plain distance, which a tree can search.
        widest = float(placed.radius.max())
        lift = rounded(np.sqrt(widest * widest - placed.radius * placed.radius))
        tree = cKDTree(np.column_stack([placed.centre, lift]))
        found = tree.query(np.column_stack([centre, np.zeros(len(centre))]), workers=2)[0]
        free &= rounded(found * found) - widest * widest > 1.3 * radius * radius
    return free


def grow_processes(rng: np.random.Generator, shape: Sequence[int], voxel: float) -> Processes:
    """Pack processes of falling calibre into a box somewhat larger than the volume."""
    extent = np.array(shape) * voxel
    cubic_micrometres = float(np.prod(extent + 2 * MARGIN_NM)) * 1e-9
    placed = Processes(np.empty((0, 3)), np.empty(0), np.empty(0, np.int32))
    for calibre, density in CALIBRES:
        centre, radius = _walks(rng, max(2, round(density * cubic_micrometres)), calibre, extent)
        inside = ((centre > -MARGIN_NM) & (centre < extent + MARGIN_NM)).all(axis=-1)
        free = np.zeros(radius.shape, bool)
        free[inside] = _free(centre[inside], radius[inside], np.nonzero(inside)[0], placed)
        runs, count = ndimage.label(free, structure=[[0, 0, 0], [1, 1, 1], [0, 0, 0]])
        kept: NDArray[np.bool_] = np.bincount(runs.ravel(), minlength=count + 1) >= SHORTEST
        kept[0] = False  # spheres that are not free
        number = np.cumsum(kept) - 1 + len(placed.chains())
        chosen = kept[runs]
        placed = Processes(
            np.concatenate([placed.centre, centre[chosen]]),
            np.concatenate([placed.radius, radius[chosen]]),
            np.concatenate([placed.owner, number[runs[chosen]].astype(np.int32)]),
        )
    return placed


def _surfaces(nodes: Floats, processes: Processes, near: NDArray[np.intp]) -> tuple[NDArray[np.int32], Floats]:
    """Owners that matter in a block and their surface distances at its nodes (owners, nodes)."""
    middle = nodes[len(nodes) // 2]
    reach = float(length(nodes - middle).max())
    rough = length(processes.centre[near] - middle) - processes.radius[near]
    starts = np.flatnonzero(np.diff(processes.owner[near], prepend=-1))
    best = np.sort(np.minimum.reduceat(rough, starts))
    near = near[rough <= best[min(1, len(best) - 1)] + 2 * reach]

    squared = np.zeros((len(near), len(nodes)), np.float32)
    for axis in range(3):
        step = (processes.centre[near, axis, None] - nodes[:, axis]).astype(np.float32)
        squared += step * step
    surface = np.sqrt(squared) - processes.radius[near, None].astype(np.float32)
    starts = np.flatnonzero(np.diff(processes.owner[near], prepend=-1))
    distance = rounded(np.minimum.reduceat(surface, starts, axis=0), 256)
    second = np.partition(distance, 1, axis=0)[1] if len(starts) > 1 else distance[0]
    matters = (distance <= second + 32).any(axis=1)  # between two nodes nothing changes by more than an interval
    return processes.owner[near][starts][matters], distance[matters]


def partition(lattice: Lattice, processes: Processes, shape: Sequence[int]) -> tuple[NDArray[np.int32], Floats]:
    """Assign every voxel to its nearest process.

    Returns:
        Owner of each voxel, counted from 1, and its distance to the next cell's territory in nm, both (z, y, x).
    """
    edge = NODES * lattice.stride
    padded = [b * edge for b in lattice.blocks]
    owners, gap = np.empty(padded, np.int32), np.empty(padded, np.float32)
    middles = lattice.warped[NODES // 2 :: NODES, NODES // 2 :: NODES, NODES // 2 :: NODES]
    tree = cKDTree(processes.centre)
    # the ball holds the nearest surfaces although the axis of the widest process lies far below its surface
    ball = float(processes.radius.max()) + 250
    for block in np.ndindex(*lattice.blocks):
        near = np.array(tree.query_ball_point(middles[block], ball, return_sorted=True), np.intp)
        if len(near) == 0:
            near = np.arange(len(processes.owner))
        nodes = lattice.warped[tuple(slice(b * NODES, (b + 1) * NODES + 1) for b in block)]
        labels, distance = _surfaces(nodes.reshape(-1, 3), processes, near)
        dense = lattice.interpolate(distance.reshape(-1, *nodes.shape[:3]))
        nearest, owner = dense[0], np.full(dense.shape[1:], labels[0])
        second = np.full_like(nearest, FAR_NM)
        for label, field in zip(labels[1:], dense[1:], strict=True):
            np.copyto(owner, label, where=field < nearest)
            np.minimum(second, np.maximum(nearest, field), out=second)
            np.minimum(nearest, field, out=nearest)
        box = tuple(slice(b * edge, (b + 1) * edge) for b in block)
        owners[box], gap[box] = owner + 1, second - nearest
    crop = tuple(slice(0, n) for n in shape)
    return owners[crop].copy(), depth_below_membrane(gap[crop], lattice.voxel)


def depth_below_membrane(gap: Floats, voxel: float) -> Floats:
    """Distance to the boundary in nm from the difference between second and first surface distance.

    The difference grows by up to 2 nm per nm, less where the two processes lie side by side. Dividing by its slope
    gives membranes the same thickness everywhere. The difference has a kink at the boundary itself, so the steeper of
    both one-sided differences is the true slope.
    """
    squared = np.zeros_like(gap)
    for axis in range(3):
        step = np.moveaxis(np.diff(gap, axis=axis), axis, 0)
        step *= step
        total = np.moveaxis(squared, axis, 0)
        total[0] += step[0]
        total[-1] += step[-1]
        total[1:-1] += np.maximum(step[:-1], step[1:])
    slope = np.sqrt(squared, out=squared)
    slope /= np.float32(voxel)
    return rounded(gap / np.clip(slope, 0.7, 2.0, out=slope), 256)
