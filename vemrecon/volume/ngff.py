"""OME-Zarr metadata: which images a group holds, and axes, voxel size and origin of their levels.

Source: OME-NGFF specification 0.4 and 0.5, section "multiscales" metadata; "bioformats2raw.layout" (transitional).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError


@dataclass(frozen=True)
class Level:
    """One resolution of an image."""

    path: str
    """In the group of the image."""
    axes: list[str]
    scale: list[float] | None
    """Along the axes as they are stored, as the following ones; None where none is said."""
    translation: list[float] | None
    units: list[str | None]


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
        units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in named]
        levels = [one for one in image["datasets"] if wanted is None or str(one["path"]) == wanted]
        if wanted is not None and not levels:
            return None
        scales, places, sized, moved = [1.0] * len(axes), [0.0] * len(axes), False, False
        for owner in (levels[0], image):  # the transformation of the whole image follows that of the level
            for step in owner.get("coordinateTransformations", []):
                if step.get("type") == "scale":
                    factors, sized = _numbers(step["scale"], len(axes)), True
                    scales = [a * b for a, b in zip(scales, factors, strict=True)]
                    places = [a * b for a, b in zip(places, factors, strict=True)]
                if step.get("type") == "translation":
                    steps, moved = _numbers(step["translation"], len(axes)), True
                    places = [a + b for a, b in zip(places, steps, strict=True)]
        where = str(levels[0]["path"])
        return Level(where, axes, scales if sized else None, places if moved else None, units)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: damaged OME-Zarr metadata ({error!r})") from error


def _numbers(values: Any, count: int) -> list[float]:
    """As many numbers as there are axes; not a number where that is not what stands there."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return [math.nan] * count
    return [float(n) if isinstance(n, int | float) and not isinstance(n, bool) else math.nan for n in values]
