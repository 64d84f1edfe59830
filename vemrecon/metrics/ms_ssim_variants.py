"""`Variant`: the definitions of MS-SSIM that are in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One of the definitions in use."""

    window: str
    shortest: int
    """Shortest side of a section, in voxels."""
    mirrors: bool = False
    """Mirrored borders at the last scale, and odd sizes lose their last voxel; else only windows inside, and odd sizes
    get a zero in front."""
    volumes: bool = False
    """Whether the three-dimensional form is in use."""


VARIANTS: Mapping[str, Variant] = {
    "": Variant("gaussian11", shortest=176, mirrors=True),
    "p11": Variant("gaussian11", shortest=161),
    "p5": Variant("gaussian5", shortest=65, volumes=True),
}
"""The primary definition (that of torchmetrics) and two of pytorch_msssim; IsoVEM and VEMamba use `p5`."""
