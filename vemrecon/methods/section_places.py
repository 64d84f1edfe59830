"""From observed sections to all sections of an isotropic volume, for networks that predict one at a time: which
observed ones each is predicted from, and at what depth.

Kept sections are copied. Repeating the end sections, where neighbours are missing and behind the last one, is our
choice. Means over slabs are no sections of the isotropic volume, so that nothing is copied: every section gets its
depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vemrecon.volume import SectionGrid

EXACT = 1e-6  # of a section: positions are quotients of small numbers
Predict = Callable[[Tensor, Tensor, list[int]], Tensor]
"""Windows (b, n, y, x), depths (b,) and numbers of the wanted sections, to sections (b, y, x)."""


@dataclass(frozen=True)
class Place:
    """Where an output section lies: at `depth` in [0, 1) behind observed section `before`."""

    before: int
    depth: float
    copied: bool
    """Whether the observed section is taken as it is."""


def places(observed: int, grid: SectionGrid, positions: Sequence[float] | None = None) -> list[Place]:
    """Of every output section, or of sections at any positions, counted in observed ones.

    >>> [(p.before, p.depth, p.copied) for p in places(2, SectionGrid.kept_every(2))]
    [(0, 0.0, True), (0, 0.5, False), (1, 0.0, True), (1, 0.0, True)]
    >>> [(p.before, p.depth, p.copied) for p in places(2, SectionGrid.slabs(2))]
    [(0, 0.0, True), (0, 0.25, False), (0, 0.75, False), (1, 0.0, True)]
    """
    found = []
    for position in voxel_positions(observed, grid) if positions is None else positions:
        inside = min(max(position, 0.0), observed - 1.0)
        before = int(inside + EXACT)
        depth = max(inside - before, 0.0)
        kept = grid.thin and depth < EXACT
        found.append(Place(before, depth, kept or abs(position - inside) > EXACT))
    return found


def voxel_positions(observed: int, grid: SectionGrid) -> list[float]:
    """Where all output sections lie, counted in observed ones."""
    found: list[float] = grid.sections_at(range(grid.extent(observed))).tolist()
    return found


def predict_sections(
    predict: Predict,
    volume: Tensor,
    grid: SectionGrid,
    *,
    sections: int,
    at_once: int = 4,
    positions: Sequence[float] | None = None,
) -> Tensor:
    """All sections of a volume.

    Args:
        predict: The network.
        volume: Observed sections, shape (z, y, x).
        grid: Where they lie.
        sections: Observed sections in a window, even; the wanted section lies behind the middle.
        at_once: Windows in a batch.
        positions: Of the wanted sections, counted in observed ones; by default those of all voxels.

    Returns:
        Shape (n, y, x), by default (round(z * scale), y, x).
    """
    where = places(len(volume), grid, positions)
    result = torch.stack([volume[place.before] for place in where])
    todo = [z for z, place in enumerate(where) if not place.copied]
    around = torch.arange(1 - sections // 2, sections // 2 + 1, device=volume.device)
    for start in range(0, len(todo), at_once):
        chosen = todo[start : start + at_once]
        before = torch.tensor([where[z].before for z in chosen], device=volume.device)
        index = (before[:, None] + around).clamp(0, len(volume) - 1)
        depth = volume.new_tensor([where[z].depth for z in chosen])
        result[chosen] = predict(volume[index], depth, chosen)
    return result
