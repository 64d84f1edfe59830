"""Edges of a voxel as a file says them: what they are in nm, or why they are not believed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vemrecon.volume.voxels import VoxelSize

NM_PER = {
    "nm": 1.0, "nanometer": 1.0, "nanometers": 1.0, "nanometre": 1.0, "nanometres": 1.0,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometers": 1e3,
    "micrometre": 1e3, "micrometres": 1e3,
    "mm": 1e6, "millimeter": 1e6, "millimeters": 1e6, "millimetre": 1e6,
    "cm": 1e7, "m": 1e9, "meter": 1e9, "metre": 1e9,
    "å": 0.1, "a": 0.1, "angstrom": 0.1, "angstroms": 0.1, "pm": 1e-3,
}  # fmt: skip
LARGEST_NM = 1e5
"""Of a voxel; beyond it a file counts in another unit than it says: no electron microscope sees so little."""


def edges_said(edges: Sequence[float], nm: float | None, where: str) -> tuple[VoxelSize | None, tuple[str, ...]]:
    """The voxel size, or None with a note that says why the file is not believed.

    Edges that are all 1 are what programs write where nobody has told them, unless the unit is nm.

    Args:
        edges: Along z, y and x, as stored.
        nm: In one unit of theirs; None where no unit is said.
        where: Where they are said.
    """
    said = " x ".join(f"{edge:g}" for edge in edges)
    if not all(math.isfinite(edge) and edge > 0 for edge in edges):
        return None, ((f"{where} says edges of {said}: no voxel size",) if any(edges) else ())
    if nm is None:
        note = () if set(edges) == {1.0} else (f"{where} says edges of {said} without a unit: no voxel size",)
        return None, note
    if set(edges) == {1.0} and nm != 1:
        return None, (f"{where} says edges of 1, as where nobody has said them: no voxel size",)
    if max(edges) * nm > LARGEST_NM:
        return None, (f"{where} says edges of {max(edges) * nm / 1e6:g} mm, far too large for a voxel: no voxel size",)
    return VoxelSize(*(float(f"{edge * nm:.12g}") for edge in edges)), ()
