"""How an array lies in space, as NIfTI and NRRD say it: one direction for each of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vemrecon.volume.edges import Edges
from vemrecon.volume.layout import Layout, in_order
from vemrecon.volume.lengths import edges_said
from vemrecon.volume.volume import Origin

SMALL = 1e-3  # of the length of a direction: what rounding leaves of a zero


class Frame:
    """Directions of the axes of an array.

    Attributes:
        axes: A letter of x, y, z for each axis; in their order where the array is turned otherwise.
        edges: Length of a step along each axis.
        place: Coordinate of the first voxel along each axis, where steps along all go up; None elsewhere.
        notes: What a user should know.
    """

    def __init__(self, directions: ArrayLike, place: Sequence[float] | None) -> None:
        """Of directions, one row for each axis, in coordinates x, y, z."""
        rows: NDArray[Any] = np.asarray(directions, dtype=np.float64)
        self.edges = [float(f"{np.linalg.norm(row):.7g}") for row in rows]
        self.axes, self.notes = list("xyz"), tuple[str, ...]()
        self.place: list[float] | None = None
        along = [int(np.argmax(np.abs(row))) for row in rows]
        straight = all(
            np.abs(row).sum() - abs(row[axis]) <= SMALL * max(edge, 1e-30)
            for row, axis, edge in zip(rows, along, self.edges, strict=True)
        )
        if sorted(along) != [0, 1, 2] or not straight:
            self.notes = ("its axes are turned in space: read in the order of the file, without an origin",)
            return
        self.axes = ["xyz"[axis] for axis in along]
        up = {axis: row[axis] > 0 for row, axis in zip(rows, along, strict=True)}
        if place is None or not np.isfinite(np.asarray(place, dtype=np.float64)).all():
            return
        if all(up.values()):
            self.place = [float(place[axis]) for axis in along]
        elif (up[0], up[1], up[2]) == (False, False, True):  # as in the other usual convention, where these count up
            self.place = [float(place[axis]) if axis == 2 else 0.0 - float(place[axis]) for axis in along]
        else:
            down = ", ".join("xyz"[axis] for axis in range(3) if not up[axis])
            self.notes = (f"coordinates go down along {down}: read in the order of the file, without an origin",)


def placed(frame: Frame, layout: Layout, nm: float | None, where: str) -> tuple[Edges, Origin, tuple[str, ...]]:
    """Edges of a voxel and origin along z, y and x, and what a user should know.

    Args:
        frame: Of the array, whose axes are stored in reverse order.
        layout: Of the array as stored.
        nm: In the unit of lengths; None where none is said.
        where: Where they are said.
    """
    edges = in_order(frame.edges[::-1], layout) or (0.0, 0.0, 0.0)
    found = edges_said(edges, nm, where)
    at = in_order(frame.place[::-1], layout) if frame.place and found.size and nm else None
    z, y, x = (float(f"{place * (nm or 0):.9g}") for place in at or (0.0, 0.0, 0.0))
    return found, (z, y, x), frame.notes
