"""OME-Zarr metadata: which images a group holds, and axes, voxel size and origin of their levels.

Source: OME-NGFF specification 0.4 and 0.5, section "multiscales" metadata; "bioformats2raw.layout" (transitional).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.volume.source import SPACE
from vemrecon.volume.volume import Origin
from vemrecon.volume.voxels import VoxelSize

NM_PER_UNIT = {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6, "angstrom": 0.1}


@dataclass(frozen=True)
class Level:
    """One resolution of an image."""

    path: str
    """In the group of the image."""
    axes: list[str]
    voxel_size: VoxelSize | None
    origin: Origin
    moved: bool
    """Whether an origin is said."""


def image_of(group: Any) -> Mapping[str, Any] | None:
    """The first multiscale image of a group's attributes; None if the group is no image."""
    attributes: dict[str, Any] = dict(group.attrs)
    facts = attributes.get("ome", attributes)
    multiscales = facts.get("multiscales") if isinstance(facts, Mapping) else None
    first = multiscales[0] if isinstance(multiscales, list) and multiscales else None
    return first if isinstance(first, Mapping) else None


def version_of(group: Any, image: Mapping[str, Any]) -> str:
    """Version of the specification that a group follows, for people."""
    attributes: dict[str, Any] = dict(group.attrs)
    facts = attributes.get("ome", {})
    return f"OME-Zarr {facts.get('version') or image.get('version') or ''}".strip()


def level_of(path: Path, image: Mapping[str, Any], wanted: str | None = None) -> Level | None:
    """The finest level of an image, or the one at a path; None if there is none at that path.

    Raises:
        DataError: If the metadata are damaged.
    """
    try:
        named = image.get("axes", "tczyx")  # which versions before 0.3 do not write
        axes = [str(axis["name"] if isinstance(axis, Mapping) else axis) for axis in named]
        units = [NM_PER_UNIT.get(axis.get("unit", "")) if isinstance(axis, Mapping) else None for axis in named]
        levels = [one for one in image["datasets"] if wanted is None or str(one["path"]) == wanted]
        if wanted is not None and not levels:
            return None
        scales, places, moved = [1.0] * len(axes), [0.0] * len(axes), False
        for owner in (levels[0], image):  # the transformation of the whole image follows that of the level
            for step in owner.get("coordinateTransformations", []):
                if step.get("type") == "scale":
                    scales = [a * b for a, b in zip(scales, step["scale"], strict=True)]
                    places = [a * b for a, b in zip(places, step["scale"], strict=True)]
                if step.get("type") == "translation":
                    places, moved = [a + float(b) for a, b in zip(places, step["translation"], strict=True)], True
        space = {n: (s, p, u) for n, s, p, u in zip(axes, scales, places, units, strict=True) if n in SPACE}
        where = str(levels[0]["path"])
        if sorted(space) != sorted(SPACE) or any(u is None for _, _, u in space.values()):
            return Level(where, axes, None, (0.0, 0.0, 0.0), False)
        size = VoxelSize(*(space[axis][0] * (space[axis][2] or 0) for axis in SPACE))
        z, y, x = (space[axis][1] * (space[axis][2] or 0) for axis in SPACE)
        return Level(where, axes, size, (z, y, x), moved)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: damaged OME-Zarr metadata ({error!r})") from error
