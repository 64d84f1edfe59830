"""Peak signal-to-noise ratio of volumes and of their sections."""

from __future__ import annotations

import torch
from torch import Tensor

from vemrecon.metrics.sections import SectionMetric
from vemrecon.metrics.tiles import TilePair
from vemrecon.volume.planes import NORMALS

DATA_RANGE = 255.0  # scores are taken on 8-bit grey levels


def decibels(mean_squared_error: Tensor) -> Tensor:
    """`10 log10(255^2 / MSE)`, infinite where the error is zero.

    >>> round(decibels(torch.tensor(65.025)).item(), 6)
    30.0
    """
    return 10 * torch.log10(DATA_RANGE**2 / mean_squared_error)


class PeakSignalNoiseRatio(SectionMetric):
    """PSNR of every section in three planes and of the volume, in dB; identical sections are infinite.

    The volume value pools the error of all voxels. Squared errors are summed exactly: they are integers, and sums stay
    below 2^53 up to 10^11 voxels.

    Source: metrics.md, section 2; equals `skimage.metrics.peak_signal_noise_ratio(..., data_range=255)`.
    """

    def update(self, tile: TilePair) -> None:
        """Add the squared errors of the core of a tile."""
        inner = tile.core.relative_to(tile.region.start).slices
        error = (tile.a[inner].to(torch.float64) - tile.b[inner].to(torch.float64)).square_()
        for plane in (*NORMALS, "volume"):
            self.tally(plane, error, tile.core.start)

    def compute(self) -> list[dict[str, Tensor]]:
        """Per scope: decibels per section of xy, xz and yz, and of the volume (one element)."""
        return [{plane: decibels(mse) for plane, mse in scope.items()} for scope in self.per_section()]
