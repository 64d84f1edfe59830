"""The reconstruction network of VEMamba.

Paper: "VEMamba", arXiv:2603.00887, CVPR 2026; released code under the MIT licence, March 2026. Written anew from a
description. Differences from the release: takes any grid size; the embedding reaches both norms of a block (the
released block cannot be constructed); convolutional feed-forward and expansion 1.5 by default, which agree with the
text and with the published 0.94 million parameters. `RELEASED` gives the released layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vemrecon.errors import ConfigError
from vemrecon.methods.vemamba.blocks import ResidualBlock

PAPER: Mapping[str, Any] = {"expansion": 1.5, "feed_forward": "conv"}
RELEASED: Mapping[str, Any] = {"expansion": 2.0, "feed_forward": "linear"}


class ResidualGroup(nn.Module):
    """Residual blocks and a convolution, with a skip around all of them."""

    def __init__(self, width: int, depth: int, recompute: bool, **block: Any) -> None:
        super().__init__()
        self.recompute = recompute
        self.blocks = nn.ModuleList(ResidualBlock(width, **block) for _ in range(depth))
        self.conv = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, f: Tensor, d: Tensor | None) -> Tensor:
        """Map features (b, c, F, h, W) to the same shape."""
        x = f.movedim(1, -1)  # (b, F, h, W, c)
        for block in self.blocks:
            x = checkpoint(block, x, d, use_reentrant=False) if self.recompute and self.training else block(x, d)
        return f + self.conv(x.movedim(-1, 1))


class AxisShuffle(nn.Module):
    """Move channels to the h axis: (b, c * r, F, h, W) to (b, c, F, h * r, W)."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, f: Tensor) -> Tensor:
        """`out[b, j, f, r * y + k, x] = f[b, j * r + k, f, y, x]`."""
        parts = f.movedim(1, -1).unflatten(-1, (-1, self.factor))  # (b, F, h, W, c, r)
        return parts.permute(0, 1, 2, 5, 3, 4).flatten(2, 3).movedim(-1, 1)  # channels stay neighbours, which is quick


class PlaneConvolution(nn.Conv3d):
    """3 x 3 convolution over h and W: one of planes, which is quicker than one of volumes."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, f: Tensor) -> Tensor:
        """Shape (b, channels, F, h, W) to (b, width, F, h, W)."""
        planes = F.conv2d(f.transpose(1, 2).flatten(0, 1), self.weight[:, :, 0], self.bias, padding=1)
        return planes.unflatten(0, (len(f), -1)).transpose(1, 2)


def upsampler(width: int, scale: int) -> nn.Sequential:
    """Enlarge h factor by factor, kernels over h and W only; numbering of the layers as released."""
    layers: list[nn.Module] = []
    for factor in prime_factors(scale):
        layers += [PlaneConvolution(width, factor * width), AxisShuffle(factor), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, PlaneConvolution(width, width))


def prime_factors(scale: int) -> list[int]:
    """Prime factors, largest first.

    >>> prime_factors(10), prime_factors(8)
    ([5, 2], [2, 2, 2])
    """
    factors, rest, prime = [], scale, 2
    while rest > 1:
        while rest % prime == 0:
            factors.append(prime)
            rest //= prime
        prime += 1
    return factors[::-1]


class VEMambaNet(nn.Module):
    """Enlarges the h axis of a volume by an integer.

    Args:
        scale: Factor of enlargement, at least 2.
        width: Channels of all features.
        depths: Blocks of every group.
        state: Numbers of state per channel of the scans.
        expansion: Inner over outer channels of the Mamba branch.
        feed_forward: `conv` (paper) or `linear` (released).
        feed_forward_expansion: Inner over outer channels of the feed-forward branch.
        embedding: Length of the degradation embedding; None for the ablation without MoCo (plain norms).
        alcssm: False for the ablation with one scan order instead of eight.
        dwam: False for the ablation that sums scan directions without weights.
        recompute: Keep only block inputs for the backward pass: a fraction of the memory for a third more time.
    """

    def __init__(
        self,
        scale: int,
        width: int = 32,
        depths: tuple[int, ...] = (4, 4, 4, 4),
        state: int = 16,
        expansion: float = 1.5,
        feed_forward: str = "conv",
        feed_forward_expansion: float = 2.0,
        embedding: int | None = 128,
        *,
        alcssm: bool = True,
        dwam: bool = True,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if scale != int(scale) or scale < 2:
            raise ConfigError(f"VEMamba enlarges by whole factors of at least 2, got {scale}")
        self.scale, self.embedding = int(scale), embedding
        block = {
            "state": state,
            "expansion": expansion,
            "feed_forward": feed_forward,
            "feed_forward_expansion": feed_forward_expansion,
            "embedding": embedding,
            "alcssm": alcssm,
            "dwam": dwam,
        }
        self.first_conv = nn.Conv3d(1, width, 3, padding=1)
        self.body = nn.ModuleList(ResidualGroup(width, depth, recompute, **block) for depth in depths)
        self.upsample = upsampler(width, self.scale)
        self.last_conv = nn.Conv3d(width, 1, 3, padding=1)

    def forward(self, x: Tensor, d: Tensor | None = None) -> Tensor:
        """Enlarge a volume.

        Args:
            x: Shape (b, 1, F, h, W), intensities in [0, 1]; h is the coarse axis.
            d: Degradation embedding (b, embedding); None for a network without.

        Returns:
            Shape (b, 1, F, scale * h, W), not clipped.

        Raises:
            ConfigError: If the embedding is missing, or not what this network was built for.
        """
        wanted = None if self.embedding is None else (len(x), self.embedding)
        found = None if d is None else tuple(d.shape)
        if found != wanted:
            raise ConfigError(f"VEMamba: expected an embedding of shape {wanted} for {len(x)} volumes, got {found}")
        shallow = self.first_conv(x).contiguous(memory_format=torch.channels_last_3d)  # as blocks want it
        f = shallow
        for group in self.body:
            f = group(f, d)
        return self.last_conv(self.upsample(f + shallow))
