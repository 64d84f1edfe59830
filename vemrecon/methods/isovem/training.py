"""What IsoVEM learns from: crops whose rows were averaged, rotated at random, with a blanked section for IsoVEM+.

Source: IsoVEM, doi:10.1101/2023.11.22.567807, self-supervised training and IsoVEM+.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vemrecon.degrade import box_weights
from vemrecon.errors import DataError
from vemrecon.methods.eightfold import rotate
from vemrecon.methods.isovem.rotations import ROTATIONS


def average_rows(truth: Tensor, scale: float) -> Tensor:
    """Mean over slabs of `scale` rows (the y axis plays the axial one); rows that fill no slab are dropped.

    Args:
        truth: Shape (..., y, x).
        scale: At least 1; a fractional one weights the rows that are cut. The published training uses whole ones only.

    Returns:
        Shape (..., floor(y / scale), x).
    """
    rows = truth.shape[-2]
    count = int(rows / scale + 1e-9)
    if scale < 1 or count < 1:
        raise DataError(f"cannot average {rows} rows by {scale:g}: the scale must lie between 1 and the number of rows")
    if float(scale).is_integer():
        slabs = truth[..., : count * int(scale), :].unflatten(-2, (count, int(scale)))
        return slabs.mean(dim=-2)
    weights = torch.from_numpy(box_weights(scale, 0, count, 0, rows))
    return weights.to(truth) @ truth


def training_pair(crop: Tensor, scale: float, rotation: int = 0) -> tuple[Tensor, Tensor]:
    """Network input and truth of one crop of an anisotropic volume; sections are the frames.

    Args:
        crop: Shape (z, y, x), in [0, 1]. For odd quarter turns y and x must be equal if crops are stacked.
        scale: Scale of training.
        rotation: One of the eight rotations.

    Returns:
        Observed (z, 1, floor(y / scale), x) and truth (z, 1, y, x); y is cut to whole slabs in both.
    """
    truth = rotate(crop, rotation)
    observed = average_rows(truth, scale)
    kept = round(observed.shape[-2] * scale)
    return observed[:, None], truth[:, None, :kept]


def random_rotation(rng: np.random.Generator) -> int:
    """One of the eight rotations, uniformly."""
    return int(rng.integers(ROTATIONS))


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


def random_frames(
    rng: np.random.Generator, samples: int, frames: int, probability: float = 1.0
) -> tuple[int | None, ...]:
    """Frames to blank: uniform over all frames, in every sample as in the released code, or with a probability."""
    drawn = [(int(rng.integers(frames)), rng.random() < probability) for _ in range(samples)]
    return tuple(frame if chosen else None for frame, chosen in drawn)
