"""`Plate`: what a figure shows, before it is drawn. Truth, observed volume and reconstructions at one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.figure.cuts import CutAt, Extent, Observed, cut, cut_observed, cut_uncertainty, require_same_grid
from vemrecon.figure.outlines import Outline
from vemrecon.report.pictures import LIMITS, error_limit
from vemrecon.volume import Volume
from vemrecon.volume.planes import AXES, NORMALS, PLANE_AXES

UNCERTAINTY_LIMITS = (1, 2, 4, 8, *LIMITS)
"""Grey levels at which colours of uncertainty may saturate: a standard deviation is smaller than an error."""


@dataclass(frozen=True)
class Entry:
    """A reconstruction and the line of the figure that it gets."""

    label: str
    volume: Volume
    captions: Mapping[str, str] = field(default_factory=dict)
    """What stands below its pictures, such as scores, by plane."""
    outlines: Mapping[str, Outline] = field(default_factory=dict)
    """What a segmenter found in it, by plane."""
    uncertainty: Volume | None = None
    """How far rotations or samples disagree, on the same voxels, where black is 0 and white is 1."""


@dataclass(frozen=True)
class Picture:
    """Grey levels (uint8), signed errors (int16) or uncertainty (float32) of a plane, and where they lie."""

    values: NDArray[Any]
    extent: Extent
    """In nm; reaches beyond the window of the plate where a coarse voxel does."""
    caption: str = ""
    outline: Outline | None = None


@dataclass(frozen=True)
class PlateLine:
    """Pictures of one volume, one for each plane, and of its errors and uncertainty if they are wanted."""

    label: str
    pictures: tuple[Picture, ...]
    errors: tuple[Picture, ...] = ()
    uncertainty: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Plate:
    """Lines of pictures that all show the same place at the same magnification."""

    titles: tuple[str, ...]
    """Of the planes."""
    windows: tuple[Extent, ...]
    """What is seen of each plane, in nm."""
    lines: tuple[PlateLine, ...]
    limit: int = 0
    """Grey levels at which the colours of errors saturate; 0 where no errors are shown."""
    uncertainty_limit: int = 0
    """The same of uncertainty."""
    note: str = ""
    """What stands below all pictures."""
    in_voxels: bool = False
    """Whether lengths are voxels, because nobody knows their size."""

    def size_nm(self, plane: int) -> tuple[float, float]:
        """Width and height of what is seen of a plane."""
        left, right, bottom, top = self.windows[plane]
        return right - left, bottom - top


def make_plate(
    truth: Volume | None,
    observed: Observed | None,
    entries: Sequence[Entry],
    where: CutAt,
    planes: Sequence[str] = tuple(PLANE_AXES),
    errors: bool = False,
    outlines: Mapping[str, Outline] | None = None,
) -> Plate:
    """Read what a figure shows: three planes of each volume, and nothing else.

    Args:
        truth: Comes first, and is what errors are against.
        observed: Comes second, with voxels of their true size.
        entries: Volumes on the grid of the truth; the uncertainty of those that have one is shown.
        where: The common place.
        planes: Out of xy, xz and yz.
        errors: Also show reconstruction minus truth, in the same colours for all.
        outlines: What a segmenter found in the truth, by plane.

    Raises:
        DataError: If a volume covers other voxels than the first one, or cannot be read.
    """
    for volume in (v for entry in entries for v in (entry.volume, entry.uncertainty) if v is not None):
        require_same_grid(volume, entries[0].volume.shape)
    lines = []
    reference = [cut(truth, plane, where) for plane in planes] if truth is not None else []
    if reference:
        drawn = [(outlines or {}).get(plane) for plane in planes]
        pictures = [Picture(c.section, c.extent, outline=o) for c, o in zip(reference, drawn, strict=True)]
        lines.append(PlateLine("Truth", tuple(pictures)))
    if observed is not None:
        lines.append(PlateLine("Observed", tuple(_observed(observed, plane, where) for plane in planes)))
    for entry in entries:
        cuts = [cut(entry.volume, plane, where) for plane in planes]
        beside = [(entry.captions.get(plane, ""), entry.outlines.get(plane)) for plane in planes]
        pictures = [Picture(c.section, c.extent, *more) for c, more in zip(cuts, beside, strict=True)]
        wrong = [
            Picture(made.section.astype(np.int16) - true.section.astype(np.int16), made.extent)
            for made, true in (zip(cuts, reference, strict=True) if errors and reference else ())
        ]
        lines.append(PlateLine(entry.label, tuple(pictures), tuple(wrong), _uncertainty(entry, where, planes)))
    found = [picture.values for line in lines for picture in line.errors]
    spread = [picture.values for line in lines for picture in line.uncertainty]
    return Plate(
        titles=tuple(_title(plane, where) for plane in planes),
        windows=tuple(where.window(plane) for plane in planes),
        lines=tuple(lines),
        limit=error_limit(found) if found else 0,
        uncertainty_limit=error_limit(spread, UNCERTAINTY_LIMITS) if spread else 0,
    )


def _uncertainty(entry: Entry, where: CutAt, planes: Sequence[str]) -> tuple[Picture, ...]:
    if entry.uncertainty is None:
        return ()
    return tuple(Picture(cut_uncertainty(entry.uncertainty, plane, where), where.window(plane)) for plane in planes)


def _observed(observed: Observed, plane: str, where: CutAt) -> Picture:
    found = cut_observed(observed, plane, where)
    seen_along = AXES[observed.axis] not in PLANE_AXES[plane]
    same = observed.recorded(where.at)
    caption = ("this section was recorded" if same else "nearest recorded") if seen_along else ""
    return Picture(found.section, found.extent, caption)


def _title(plane: str, where: CutAt) -> str:
    normal = NORMALS[plane]
    return f"{plane}, {AXES[normal]} = {where.at[normal]}"
