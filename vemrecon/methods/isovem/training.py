"""What IsoVEM+ learns from beside IsoVEM: crops with a blanked section.

Source: IsoVEM, doi:10.1101/2023.11.22.567807, IsoVEM+.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def blank_frames(observed: Tensor, frames: Sequence[int | None]) -> Tensor:
    """Blank one frame of each sample (IsoVEM+); the truth stays complete and the loss counts every frame.

    Args:
        observed: Shape (b, frames, 1, rows, columns).
        frames: Frame to set to 0 in each sample, None to leave it alone.

    Returns:
        A copy of the same shape.
    """
    blanked = observed.clone()
    for sample, frame in enumerate(frames):
        if frame is not None:
            blanked[sample, frame] = 0
    return blanked
