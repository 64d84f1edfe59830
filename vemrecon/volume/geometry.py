"""Voxel sizes that contradict what voxels of electron microscopes can be, each other, or what is done with them."""

from __future__ import annotations

from vemrecon.errors import DataError
from vemrecon.volume.edges import OPTION, Edges
from vemrecon.volume.volume import Volume
from vemrecon.volume.voxels import VoxelSize

SMALLEST_NM, LARGEST_NM = 0.1, 1e4
"""Edges of voxels in electron microscopy, of atoms and of the coarsest overviews."""
USUAL_NM = (0.5, 500.0)
UNITS = {1e3: "micrometres", 1e6: "millimetres", 1e7: "centimetres", 1e9: "metres", 1e-3: "picometres"}
LONG = 1.5
"""An x edge this many times as long as y and z is no lateral one."""


def require_possible(name: str, edges: Edges) -> None:
    """Refuse edges that no voxel has: other units taken for nm.

    Raises:
        DataError: With the size that is meant, where a usual unit explains it.
    """
    known = [nm for nm in edges if nm is not None]
    if not known or (min(known) >= SMALLEST_NM and max(known) <= LARGEST_NM):
        return
    what = "are smaller than atoms" if min(known) < SMALLEST_NM else f"are longer than {LARGEST_NM / 1e3:g} µm"
    meant = next((f for f in UNITS if all(USUAL_NM[0] <= nm * f <= USUAL_NM[1] for nm in known)), None)
    advice = f"say {OPTION} Z Y X"
    if meant:
        words = _words(*(None if nm is None else nm * meant for nm in edges))
        advice = f"if these are {UNITS[meant]}, say {OPTION} {words}"
    raise DataError(f"{name}: voxels of {edges} ({edges.said}) {what}; sizes are in nm: {advice}")


def require_order(volume: Volume) -> None:
    """Refuse a voxel size that stands in the order x, y, z.

    Raises:
        DataError: If x is the long axis, with the sizes in their order.
    """
    size = volume.voxel_size
    if size is None or volume.grid is not None or size.x < LONG * max(size.z, size.y):
        return
    raise DataError(
        f"{volume.name}: voxels of {size}: x is the long axis, but sizes are Z Y X: if that was meant x y z, say "
        f"{OPTION} {_words(size.x, size.y, size.z)}; if pixels really are that long in x, say --square-pixels"
    )


def require_square(volume: Volume) -> None:
    """Refuse pixels that are not square, for methods and comparisons in which y and x are alike.

    Raises:
        DataError: If y and x differ by more than 1 %, or the voxel size stands in the order x, y, z.
    """
    require_order(volume)
    size = volume.voxel_size
    _, y, x = size or volume.partial
    if y is None or x is None or VoxelSize(y, y, x).square:
        return
    known = f"voxels of {size or volume.partial}"
    if volume.grid is not None:  # only `degrade` along y or x writes such files
        raise DataError(
            f"{volume.name}: {known}: its sections were taken along {'y' if y > x else 'x'}, and only those along z "
            f"can be used; make it with `vemrecon degrade --axis z`"
        )
    raise DataError(
        f"{volume.name}: {known} have pixels that are not square, y {y:g} nm and x {x:g} nm; say --square-pixels to "
        f"interpolate the coarser of them, or if this is wrong, {OPTION} Z Y X"
    )


def one_size(*named: tuple[str, Volume]) -> tuple[VoxelSize | None, tuple[str, ...]]:
    """The voxel size of volumes that lie on one grid of voxels.

    Args:
        named: What each volume is, for messages, such as `truth`, and the volume; the first of known size decides.

    Returns:
        The size, None if nobody knows it, and a note where the first volume does not say its own.

    Raises:
        DataError: If two contradict each other.
    """
    what, first = next((one for one in named if one[1].voxel_size is not None), named[0])
    size = first.voxel_size
    if size is None:
        return None, ()
    for other, volume in named:
        found = Edges.of(volume.voxel_size, other) if volume.voxel_size else volume.partial
        if found.differ_from(Edges.of(size, what)):
            raise DataError(
                f"voxel sizes contradict each other (z, y, x): the {what} {first.name} says {size}, the {other} "
                f"{volume.name} says {found}; say which is right with {OPTION} Z Y X"
            )
    lacks = named[0][1]
    note = f"{lacks.name}: says no voxel size; that of {first.name} is taken, {size}"
    return size, (note,) if lacks.voxel_size is None else ()


def _words(z: float | None, y: float | None, x: float | None) -> str:
    edges = {"z": z, "y": y, "x": x}
    whole = None not in edges.values()
    return " ".join(f"{nm:g}" if whole else f"{axis}={nm:g}" for axis, nm in edges.items() if nm is not None)
