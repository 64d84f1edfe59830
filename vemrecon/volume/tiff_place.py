"""What TIFF files say about the size and place of voxels: OME, ImageJ, FEI and Zeiss metadata, resolution tags.

Source: OME-XML schema 2016-06 (Pixels, Plane); ImageJ's TiffEncoder and FileOpener; TIFF 6.0, section "resolution".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vemrecon.volume.attributes import position
from vemrecon.volume.edges import UNKNOWN, Edges
from vemrecon.volume.geometry import SMALLEST_NM
from vemrecon.volume.units import nm_per
from vemrecon.volume.volume import Origin

RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "um"}
COARSEST_NM = 1e3
"""Pixels of resolution tags that are larger are those of screens, printers and scanners."""
FEI_TAGS, ZEISS_TAG = (34680, 34682), 34118


@dataclass(frozen=True)
class Told:
    """What a file says beside its voxels."""

    format: str = "TIFF"
    edges: Edges = UNKNOWN
    origin: Origin | None = None
    zero: Origin | None = None
    """Voxel at the position 0."""
    description: str = ""
    """Of the image, in OME metadata."""


def told_by(file: Any, page: Any, image: int = 0) -> Told:
    """What a file says about one of its images.

    Args:
        file: A `tifffile.TiffFile`.
        page: The first page of the image.
        image: Its number.
    """
    if file.is_ome and file.ome_metadata:
        return _ome(file.ome_metadata, image)
    microscope = _fei(page).over(_zeiss(page))
    if file.is_imagej:
        return _imagej(file.imagej_metadata or {}, page, microscope)
    return Told("TIFF", microscope.over(_resolution(page)))


def _resolution(page: Any) -> Edges:
    """Of the tags XResolution, YResolution and ResolutionUnit."""
    y, x = (_pixel(page.tags.valueof(name)) for name in ("YResolution", "XResolution"))
    if (y is None and x is None) or y == x == 1:  # 1 per inch is how some write that they know nothing
        return UNKNOWN
    word = RESOLUTION_UNITS.get(page.tags.valueof("ResolutionUnit", 2), "")
    return _without_screens(Edges.read((None, y, x), word, "TIFF resolution"), word)


def _without_screens(edges: Edges, unit: str) -> Edges:
    """Nothing where pixels are those of a screen: programs write 72 or 300 dpi where they know nothing."""
    known = [nm for nm in edges if nm is not None]
    if not known or all(SMALLEST_NM <= nm <= COARSEST_NM for nm in known) or (nm_per(unit) or 0) < 1e6:
        return edges
    dots = 25.4e6 / known[-1]
    return Edges(unused=(f"{edges.said.split(': ')[-1]} of {dots:.4g} dpi is that of a screen or printer",))


def _pixel(resolution: Any) -> float | None:
    """Length of a pixel, from pixels per length."""
    try:
        pixels, length = resolution
        return length / pixels if pixels else None
    except (TypeError, ValueError):
        return None


def _imagej(facts: Mapping[str, Any], page: Any, microscope: Edges) -> Told:
    unit = str(facts.get("unit", "")).strip()
    if not unit:
        return Told("ImageJ TIFF", microscope.over(_resolution(page)))
    y, x = (_pixel(page.tags.valueof(name)) for name in ("YResolution", "XResolution"))
    spacing = facts.get("spacing")
    z = abs(spacing) if isinstance(spacing, int | float) else spacing  # as ImageJ takes it
    units = [str(facts.get(name, unit)) for name in ("zunit", "yunit", "unit")]
    edges = _without_screens(Edges.read((z, y, x), units, "ImageJ metadata"), unit)
    zero = position([facts.get(f"{axis}origin", 0) for axis in "zyx"], "nm")  # voxels, of any unit
    return Told("ImageJ TIFF", edges.over(microscope), zero=zero if zero and any(zero) else None)


def _fei(page: Any) -> Edges:
    """Of FEI and Thermo Fisher microscopes, in metres."""
    for tag in FEI_TAGS:
        facts = page.tags.valueof(tag)
        sections = [one for one in facts.values() if isinstance(one, Mapping)] if isinstance(facts, Mapping) else []
        for one in [facts.get("Scan"), *sections] if sections else []:
            if isinstance(one, Mapping) and "PixelWidth" in one and "PixelHeight" in one:
                return Edges.read((None, one["PixelHeight"], one["PixelWidth"]), "m", "FEI tag")
    return UNKNOWN


def _zeiss(page: Any) -> Edges:
    """Of Zeiss microscopes, whose pixels are square."""
    facts = page.tags.valueof(ZEISS_TAG)
    if not isinstance(facts, Mapping):
        return UNKNOWN
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        found = facts.get(name, ())
        if len(found) == 3:
            return Edges.read((None, found[1], found[1]), found[2], "Zeiss tag")
    return UNKNOWN


def _ome(xml: str, number: int) -> Told:
    from xml.etree import ElementTree

    root = ElementTree.fromstring(xml)
    images = [node for node in root.iter() if node.tag.endswith("}Image")]
    image = images[min(number, len(images) - 1)] if images else root
    text = next((node.text or "" for node in image.iter() if node.tag.endswith("}Description")), "")
    pixels = next((node for node in image.iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None:
        return Told("OME-TIFF", description=text)
    values, units = ([pixels.get(f"PhysicalSize{axis}{word}") for axis in "ZYX"] for word in ("", "Unit"))
    plane = next((node for node in pixels if node.tag.endswith("}Plane")), None)
    return Told(
        "OME-TIFF", Edges.read(values, units, "OME-TIFF metadata", "µm"), _plane_position(plane), description=text
    )


def _plane_position(plane: Any) -> Origin | None:
    """In nm; 0 along axes of which none is said, or whose unit is no length, such as the reference frame of a stage."""
    if plane is None:
        return None
    found = []
    for axis in "ZYX":
        value, unit = plane.get(f"Position{axis}"), nm_per(plane.get(f"Position{axis}Unit"))
        try:
            there = float(value or 0) * (unit or 0)
        except ValueError:
            there = 0.0
        found.append(there if math.isfinite(there) else 0.0)
    return (found[0], found[1], found[2]) if any(found) else None
