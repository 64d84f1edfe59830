"""Names of axes, and of the planes between them."""

from __future__ import annotations

AXES = "zyx"
NORMALS: dict[str, int] = {"xy": 0, "xz": 1, "yz": 2}
"""Plane to the axis that its sections are perpendicular to."""
PLANE_AXES = {"xy": ("y", "x"), "xz": ("z", "x"), "yz": ("z", "y")}
"""Plane to the row and the column axis of its pictures."""
