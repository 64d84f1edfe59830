"""Residual blocks of VEMamba: conditioned norm, Mamba branch, feed-forward branch. Source: arXiv:2603.00887."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.errors import unknown
from vemrecon.methods.vemamba.alcssm import VolumeMamba


class ConditionedNorm(nn.Module):
    """Layer norm over channels, scaled and shifted by a linear map of the degradation embedding (VDIM).

    The factor is g and not 1 + g, so that both branches of a block start weak.

    Args:
        width: Channels.
        embedding: Length of the embedding.
    """

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.map = nn.Linear(embedding, 2 * width, bias=False)  # first half scales, second half shifts

    def forward(self, f: Tensor, d: Tensor) -> Tensor:
        """Normalise (b, F, h, W, c) with the embedding (b, embedding)."""
        scale, shift = self.map(d)[:, None, None, None].chunk(2, dim=-1)
        return scale * self.norm(f) + shift


class PlainNorm(nn.LayerNorm):
    """Layer norm that ignores the embedding: the ablation without MoCo."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, f: Tensor, d: Tensor | None = None) -> Tensor:
        """Normalise (b, F, h, W, c)."""
        return super().forward(f)


class ResidualDepthwise(nn.Module):
    """Depthwise 3x3x3 convolution whose kernel is the learned one plus a fixed unit impulse."""

    impulse: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        conv = nn.Conv3d(channels, channels, 3, groups=channels)  # for its initial values
        self.weight, self.bias = conv.weight, conv.bias
        impulse = torch.zeros(1, 1, 3, 3, 3)
        impulse[0, 0, 1, 1, 1] = 1
        self.register_buffer("impulse", impulse)  # the release counts it as a parameter, but never trains it

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, F, h, W) to the same shape."""
        return F.conv3d(x, self.weight + self.impulse, self.bias, padding=1, groups=len(self.weight))


class ConvFeedForward(nn.Module):
    """Feed-forward branch of the paper: 1x1x1 convolutions around a residual depthwise one."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv3d(width, hidden, 1)
        self.conv = ResidualDepthwise(hidden)
        self.fc2 = nn.Conv3d(hidden, width, 1)

    def forward(self, f: Tensor) -> Tensor:
        """Map (b, F, h, W, c) to the same shape."""
        inner = self.conv(F.gelu(self._pointwise(f, self.fc1)).movedim(-1, 1)).movedim(1, -1)
        return self._pointwise(inner, self.fc2)

    @staticmethod
    def _pointwise(f: Tensor, layer: nn.Conv3d) -> Tensor:
        """A 1x1x1 convolution as the matrix product that it is: the layout stays as it is."""
        return F.linear(f, layer.weight.flatten(1), layer.bias)


class LinearFeedForward(nn.Module):
    """Feed-forward branch that the release wires in: two linear layers per voxel."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, f: Tensor) -> Tensor:
        """Map (b, F, h, W, c) to the same shape."""
        return self.fc2(F.gelu(self.fc1(f)))


FEED_FORWARD: dict[str, type[ConvFeedForward] | type[LinearFeedForward]] = {
    "conv": ConvFeedForward,
    "linear": LinearFeedForward,
}


class ResidualBlock(nn.Module):
    """Residual volume Mamba block (RVMB): `f = a f + branch(norm(f, d))` for the Mamba and the feed-forward branch.

    Args:
        width: Channels.
        state: Numbers of state per channel of the scans.
        expansion: Inner over outer channels of the Mamba branch.
        feed_forward: `conv` or `linear`.
        feed_forward_expansion: Inner over outer channels of the feed-forward branch.
        embedding: Length of the degradation embedding; None for plain norms.
        alcssm: See `VolumeMamba`.
        dwam: See `VolumeMamba`.
    """

    def __init__(
        self,
        width: int,
        state: int = 16,
        expansion: float = 1.5,
        feed_forward: str = "conv",
        feed_forward_expansion: float = 2.0,
        embedding: int | None = 128,
        *,
        alcssm: bool = True,
        dwam: bool = True,
    ) -> None:
        super().__init__()
        if feed_forward not in FEED_FORWARD:
            raise unknown("VEMamba feed-forward branch", feed_forward, FEED_FORWARD)
        self.norm_1, self.norm_2 = (
            PlainNorm(width) if embedding is None else ConditionedNorm(width, embedding) for _ in range(2)
        )
        self.mamba = VolumeMamba(width, expansion, state, alcssm=alcssm, dwam=dwam)
        self.ffn = FEED_FORWARD[feed_forward](width, int(feed_forward_expansion * width))
        self.skip_1, self.skip_2 = (nn.Parameter(torch.ones(width)) for _ in range(2))

    def forward(self, f: Tensor, d: Tensor | None) -> Tensor:
        """Map features (b, F, h, W, c) to the same shape; d is the embedding (b, embedding)."""
        f = self.skip_1 * f + self.mamba(self.norm_1(f, d))
        return self.skip_2 * f + self.ffn(self.norm_2(f, d))
