"""From observed sections to all sections of an isotropic volume: which four are looked at, and at what depth.

Source: D2R (kept sections are copied, sections between them predicted from their two neighbours on either side).
Repeating the end sections, where neighbours are missing and behind the last one, is our choice. Means over slabs
(`centred`) are no sections of the isotropic volume, so that nothing is copied: every section gets its depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vemrecon.methods.d2r.backbone import SECTIONS
from vemrecon.volume import Grid

Predict = Callable[[Tensor, Tensor], Tensor]
"""Windows (b, 1, 4, y, x) and depths (b,) to sections (b, 1, y, x)."""
EXACT = 1e-6  # of a section: positions are quotients of small numbers


@dataclass(frozen=True)
class Place:
    """Where an output section lies: at `depth` in [0, 1) behind observed section `before`."""

    before: int
    depth: float
    copied: bool
    """Whether the observed section is taken as it is."""


def places(observed: int, scale: float, grid: Grid) -> list[Place]:
    """Of every output section.

    >>> [(p.before, p.depth, p.copied) for p in places(2, 2, "aligned")]
    [(0, 0.0, True), (0, 0.5, False), (1, 0.0, True), (1, 0.0, True)]
    >>> [(p.before, p.depth, p.copied) for p in places(2, 2, "centred")]
    [(0, 0.0, True), (0, 0.25, False), (0, 0.75, False), (1, 0.0, True)]
    """
    found = []
    for z in range(round(observed * scale)):
        position = z / scale if grid == "aligned" else (z + 0.5) / scale - 0.5
        inside = min(max(position, 0.0), observed - 1.0)
        before = int(inside + EXACT)
        depth = max(inside - before, 0.0)
        kept = grid == "aligned" and depth < EXACT
        found.append(Place(before, depth, kept or abs(position - inside) > EXACT))
    return found


def depths_between(scale: float, grid: Grid) -> list[float]:
    """Depths of the sections between two neighbouring observed ones, far from the ends of a volume.

    >>> depths_between(4, "aligned"), depths_between(2, "centred")
    ([0.25, 0.5, 0.75], [0.25, 0.75])
    """
    return [p.depth for p in places(SECTIONS, scale, grid) if p.before == 1 and not p.copied]


def interpolate_sections(predict: Predict, volume: Tensor, scale: float, grid: Grid, at_once: int = 4) -> Tensor:
    """All sections of a volume.

    Args:
        predict: The network.
        volume: Observed sections, shape (z, y, x), in [0, 1].
        scale: Output sections for each observed one; any.
        grid: Where they lie.
        at_once: Windows in a batch.

    Returns:
        Shape (round(z * scale), y, x), not clipped.
    """
    where = places(len(volume), scale, grid)
    result = torch.stack([volume[place.before] for place in where])
    todo = [z for z, place in enumerate(where) if not place.copied]
    for start in range(0, len(todo), at_once):
        chosen = todo[start : start + at_once]
        before = torch.tensor([where[z].before for z in chosen], device=volume.device)
        index = (before[:, None] + torch.arange(-1, SECTIONS - 1, device=volume.device)).clamp(0, len(volume) - 1)
        depth = volume.new_tensor([where[z].depth for z in chosen])
        result[chosen] = predict(volume[index][:, None], depth)[:, 0]
    return result
