"""Changes of resolution inside IsoVEM: patches to channels and back, the row shuffle, linear resizing of rows.

Rows are the super-resolved axis (height of a frame). Frames never mix here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IN_SHUFFLE_SLOPE = 0.1
BEFORE_SHUFFLE_SLOPE = 0.01


def shuffle_factor(scale: float) -> int:
    """Rows that the shuffle makes of each row: the power of two nearest to the scale on a logarithmic axis.

    >>> [shuffle_factor(scale) for scale in (1, 2.8, 4, 5.7, 10, 12)]
    [1, 2, 4, 8, 8, 16]
    """
    return 1 << max(0, round(math.log2(scale)))  # ties to even


class MergePatches(nn.Module):
    """Half the rows and columns: each 2 x 2 neighbourhood becomes channels, then norm and linear map.

    Channels are gathered with the column slowest, then the row, then the original channel.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.linear = nn.Linear(4 * channels, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, h, w, c) to (b, d, h / 2, w / 2, width)."""
        b, d, h, w, c = x.shape
        x = x.view(b, d, h // 2, 2, w // 2, 2, c).permute(0, 1, 2, 4, 5, 3, 6)
        return self.linear(self.norm(x.reshape(b, d, h // 2, w // 2, 4 * c)))


class ExpandPatches(nn.Module):
    """Twice the rows and columns: the inverse arrangement of `MergePatches`, then norm and linear map."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels // 4)
        self.linear = nn.Linear(channels // 4, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, h, w, c) to (b, d, 2 h, 2 w, width)."""
        b, d, h, w, c = x.shape
        x = x.reshape(b, d, h, w, 2, 2, c // 4).permute(0, 1, 2, 5, 3, 4, 6)
        return self.linear(self.norm(x.reshape(b, d, 2 * h, 2 * w, c // 4)))


def shuffle_rows(x: Tensor) -> Tensor:
    """Anisotropic pixel shuffle, (n, 2 c, h, w) to (n, c, 2 h, w): odd channels become odd rows."""
    n, c, h, w = x.shape
    return x.reshape(n, c // 2, 2, h, w).transpose(2, 3).reshape(n, c // 2, 2 * h, w)


def resize_rows(x: Tensor, rows: int, step: float | None = None) -> Tensor:
    """Linear interpolation along the rows, without anti-aliasing.

    Output row i lies at `(i + 0.5) step - 0.5`, clamped to the image.

    Args:
        x: Shape (n, c, h, w).
        rows: Rows wanted.
        step: Input rows per output row; None for `h / rows`, which stretches the image to the rows wanted.

    Returns:
        Shape (n, c, rows, w).
    """
    h, w = x.shape[2:]
    if step is None or math.isclose(step, h / rows):
        if rows == h:
            return x
        return F.interpolate(x, size=(rows, w), mode="bilinear", align_corners=False)
    at = ((torch.arange(rows, device=x.device, dtype=torch.float64) + 0.5) * step - 0.5).clamp(0, h - 1)
    low = at.floor().clamp(max=max(h - 2, 0))
    weight = (at - low).to(x.dtype)[:, None]
    below = low.long()
    return torch.lerp(x[:, :, below], x[:, :, (below + 1).clamp(max=h - 1)], weight)


class Upsampler(nn.Module):
    """From body features to grey levels at any scale: convolutions with row shuffles, linear resize, convolution.

    All convolutions are 3 x 3 inside a frame, so frames may be processed in any groups.

    Args:
        channels: Width of the body.
        factor: Rows that the shuffles make of each row, a power of two.
        out_channels: Channels of a frame.
        width: Feature maps.
    """

    def __init__(self, channels: int, factor: int, out_channels: int = 1, width: int = 64) -> None:
        super().__init__()
        self.factor = factor
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        times = factor.bit_length() - 1
        self.doublings = nn.ModuleList(nn.Conv2d(width, 2 * width, 3, padding=1) for _ in range(times))
        self.smooth = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def enlarge(self, features: Tensor) -> Tensor:
        """Shuffled feature maps, (n, width, h, w) to (n, width, factor h, w)."""
        for conv in self.doublings:
            features = F.leaky_relu(shuffle_rows(conv(features)), IN_SHUFFLE_SLOPE)
        return self.smooth(features)

    def resized(self, features: Tensor, rows: int, step: float | None = None) -> Tensor:
        """Feature maps at the wanted rows; `step` in rows of `features` per output row."""
        step = None if step is None else step * self.factor
        return resize_rows(self.enlarge(features), rows, step)

    def forward(self, body: Tensor, rows: int, step: float | None = None) -> Tensor:
        """Grey levels to be added to the interpolated frames.

        Args:
            body: Shape (n, channels, h, w), n frames.
            rows: Rows wanted.
            step: Rows of `body` per output row; None stretches to the rows wanted.

        Returns:
            Shape (n, out_channels, rows, w).
        """
        features = F.leaky_relu(self.first(body), BEFORE_SHUFFLE_SLOPE)
        return self.last(self.resized(features, rows, step))
