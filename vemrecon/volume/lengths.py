"""Edges of a voxel as headers say them: what they are in nm, or why they are not believed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vemrecon.volume.edges import UNKNOWN, Edges

LARGEST_NM = 1e5
"""Of a voxel; beyond it a file counts in another unit than it says: no electron microscope sees so little."""


def edges_said(edges: Sequence[float], nm: float | None, where: str) -> Edges:
    """Edges of a voxel; none, with the reason, where the file is not believed.

    Edges that are all 1 are what programs write where nobody has told them, unless the unit is nm.

    Args:
        edges: Along z, y and x, as stored.
        nm: In one unit of theirs; None where no unit is said.
        where: Where they are said.
    """
    said = " x ".join(f"{edge:g}" for edge in edges)
    if not all(math.isfinite(edge) and edge > 0 for edge in edges):
        return Edges(unused=(f"{where} says edges of {said}",)) if any(edges) else UNKNOWN
    if nm is None:
        return UNKNOWN if set(edges) == {1.0} else Edges(unused=(f"{where} says edges of {said} without a unit",))
    if set(edges) == {1.0} and nm != 1:
        return Edges(unused=(f"{where} says edges of 1, as where nobody has said them",))
    if max(edges) * nm > LARGEST_NM:
        large = f"{max(edges) * nm / 1e6:g} mm"
        return Edges(unused=(f"{where} says edges of {large}, far too large for a voxel",))
    return Edges.of([float(f"{edge * nm:.12g}") for edge in edges], where)
