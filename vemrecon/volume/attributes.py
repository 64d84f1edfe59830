"""Voxel size and origin from metadata of HDF5 and zarr arrays, as several programs write them.

Source: CREMI and funlib.persistence (`resolution` or `voxel_size`, `offset`, `units`), ilastik and plantseg
(`element_size_um`), n5-viewer (`pixelResolution`, `downsamplingFactors`), OpenOrganelle (`transform`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.layout import SPACE, Layout, in_order
from vemrecon.volume.units import nm_per
from vemrecon.volume.volume import Origin

SIZES = {"resolution": "nm", "voxel_size": "nm", "element_size_um": "um"}
"""Attributes along the axes as they are stored, and their unit where none is written."""
UNITS = ("units", "unit")
PLACES = (*SIZES, "offset", "pixelResolution", "transform")
NAMES = (*PLACES, *UNITS, "downsamplingFactors")
"""All attributes that are looked at."""


@dataclass(frozen=True)
class Place:
    """How large voxels are and where the first one lies, as far as somebody says."""

    edges: Edges = UNKNOWN
    origin: Origin | None = None
    origin_from: str = ""

    def over(self, other: Place) -> Place:
        """This, and the other where this does not say it."""
        chosen = self if self.origin is not None else other
        return Place(self.edges.over(other.edges), chosen.origin, chosen.origin_from)


def place_of(own: Mapping[str, Any], above: Mapping[str, Any], layout: Layout) -> Place:
    """What attributes say: those of the array, then those of the group that it is in.

    Args:
        own: Attributes of the array.
        above: Attributes of its group, where they can only be meant for it.
        layout: Which stored axis is which.
    """
    return _said(own, "", layout).over(_said(above, " of the group", layout))


def meant_for(array: Any, group_attributes: Mapping[str, Any], others: Iterable[Any]) -> Mapping[str, Any]:
    """Attributes of the group of an array, if they can only be meant for it: nothing where volumes beside it differ.

    Args:
        array: With a shape.
        group_attributes: Of its group.
        others: Arrays in that group, looked at only where its attributes are about places.
    """
    if not set(PLACES) & set(group_attributes):
        return {}
    alike = all(tuple(other.shape) == tuple(array.shape) for other in others if len(other.shape) >= 3)
    return group_attributes if alike else {}


def position(values: Any, units: Any, usual: str = "") -> Origin | None:
    """A position (z, y, x) in nm; None if it is none, or its units are no lengths.

    Args:
        values: Numbers.
        units: A word for all, or one for each.
        usual: Unit where none is written.
    """
    words = units if isinstance(units, list | tuple) and len(units) == 3 else [units] * 3
    with suppress(TypeError, ValueError):
        z, y, x = (float(n) * (nm_per(word or usual) or math.nan) for n, word in zip(values, words, strict=True))
        return (z, y, x) if all(map(math.isfinite, (z, y, x))) else None
    return None


def _said(attributes: Mapping[str, Any], where: str, layout: Layout) -> Place:
    facts = {name: _plain(value) for name, value in attributes.items()}
    units = next((facts[name] for name in UNITS if facts.get(name)), None)
    units = in_order(units, layout) if isinstance(units, list) else units
    edges = UNKNOWN
    for name, usual in SIZES.items():
        if facts.get(name) is None:
            continue
        values = in_order(facts[name], layout) if isinstance(facts[name], list) else None
        if values is None:
            reason = f"attribute {name}{where} is {facts[name]!r}, which is not one number for each axis"
            edges = edges.over(Edges(unused=(reason,)))
        else:
            own = "" if usual == "um" else units  # its unit is in its name
            edges = edges.over(Edges.read(values, own, f"attribute {name}{where}", usual))
    there = in_order(facts["offset"], layout) if isinstance(facts.get("offset"), list) else None
    offset = position(there, units, "nm")
    place = Place(edges, offset, f"attribute offset{where}" if offset else "")
    return place.over(_pixel_resolution(facts, where)).over(_transform(facts, where))


def _pixel_resolution(facts: Mapping[str, Any], where: str) -> Place:
    """That of n5-viewer: along x, y, z whatever is stored, and of the finest level."""
    found = facts.get("pixelResolution")
    factors = facts.get("downsamplingFactors") or [1, 1, 1]
    with suppress(TypeError, ValueError, KeyError):
        x, y, z = (float(a) * float(b) for a, b in zip(found["dimensions"], factors, strict=True))  # type: ignore[index]
        return Place(Edges.read([z, y, x], found.get("unit"), f"attribute pixelResolution{where}"))  # type: ignore[union-attr]
    return Place()


def _transform(facts: Mapping[str, Any], where: str) -> Place:
    """That of OpenOrganelle, which names its axes."""
    found, said = facts.get("transform"), f"attribute transform{where}"
    with suppress(TypeError, ValueError, KeyError, IndexError):
        order = [found["axes"].index(axis) for axis in SPACE]  # type: ignore[index]
        scale, units, there = ([found[name][n] for n in order] for name in ("scale", "units", "translate"))  # type: ignore[index]
        origin = position(there, units)
        return Place(Edges.read(scale, units, said), origin, said if origin else "")
    return Place()


def _plain(value: Any) -> Any:
    """Arrays and bytes of HDF5 as lists and words."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
