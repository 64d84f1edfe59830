"""IsoVEM+: fill missing sections with the same weights run at scale 1, before the reconstruction.

Source: IsoVEM, doi:10.1101/2023.11.22.567807, two-step inference of IsoVEM+.
Changed: the listed sections are blanked inside the input here, as the paper says (the released code expects them to be
black already); near the ends of the stack the window is moved inwards instead of being cut; a section may be predicted
with itself alone blanked.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from vemrecon.errors import DataError
from vemrecon.methods.isovem.fusion import OVERLAP, Shape, fuse, tile_starts

Blanked = Literal["all", "one", "none"]


class VideoNet(Protocol):
    """What reconstructs frames: `IsoVEMNet`, its version for any size, or a stand-in."""

    def __call__(self, video: Tensor, scale: float, rows: int | None = None, /) -> Tensor:
        """(b, frames, 1, rows, columns) to more rows; see `IsoVEMNet.forward`."""


@torch.no_grad()
def inpaint_sections(
    net: VideoNet,
    volume: Tensor,
    sections: Sequence[int],
    tile: Shape = (16, 128, 128),
    *,
    overlap: int = OVERLAP,
    blanked: Blanked = "all",
) -> Tensor:
    """Predict missing or damaged sections from their neighbours.

    Each listed section is predicted as the middle frame of a window of `tile[0]` sections, one forward pass at scale 1
    without rotations; all predictions see the unrepaired volume and replace the sections together.

    Args:
        net: Network trained with blanked frames.
        volume: Shape (z, y, x), in [0, 1].
        sections: Sections to predict.
        tile: Frames, rows and columns given to the network at once; cut to the volume.
        overlap: Of tiles in the plane.
        blanked: What is set to 0 inside the input: every listed section, the neighbours, too; the one alone that is
            predicted, so that of neighbours that are listed the network sees what the volume has there; or nothing.

    Returns:
        The repaired volume, a copy in [0, 1].

    Raises:
        DataError: If a section is not in the volume.
    """
    z, y, x = volume.shape
    wrong = [section for section in sections if not 0 <= section < z]
    if wrong:
        raise DataError(f"sections to fill must lie in 0 .. {z - 1}, got {wrong}")
    observed = volume.clone()
    if blanked == "all":
        observed[list(sections)] = 0
    repaired = volume.clone()
    frames = min(tile[0], z)
    rows, columns = tile_starts(y, tile[1], overlap), tile_starts(x, tile[2], overlap)
    for section in sections:
        start = min(max(section - tile[0] // 2, 0), z - frames)
        window = observed[start : start + frames]
        if blanked == "one":
            window = window.clone()
            window[section - start] = 0
        parts = []
        for top, left in itertools.product(rows, columns):
            video = window[None, :, None, top : top + tile[1], left : left + tile[2]]  # (1, frames, 1, y, x)
            parts.append(net(video, 1)[0, section - start])  # (1, y, x)
        plane = fuse(parts, (1, len(rows), len(columns)), (1, y, x), 1, overlap)
        repaired[section] = plane[0].clamp(0, 1)
    return repaired
