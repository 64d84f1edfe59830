"""The backbone that AENet and DGEAN share: a 3D residual encoder and decoder over four sections, without normalisation.

Source: layout of FLAVR (Kalluri et al., WACV 2023, arXiv:2012.08512; Apache-2.0, rewritten here from a description)
with one grey channel. All tensors are (b, c, 4, y, x): the axial axis keeps its four sections throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SECTIONS = 4
WIDTHS = (64, 128, 256, 512)
NO_CODES: tuple[None, ...] = (None,) * 5
Activation = Callable[[Tensor], Tensor]


def leaky_relu(x: Tensor) -> Tensor:
    """FLAVR's activation in the decoder."""
    return F.leaky_relu(x, 0.2)


class Gate(nn.Module):
    """Channel attention: every channel times the sigmoid of a linear map of all channel means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Shape (b, c, z, y, x) in and out."""
        weights = torch.sigmoid(self.linear(features.mean(dim=(2, 3, 4))))
        return features * weights[:, :, None, None, None]


class ResidualBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions and a gate beside a shortcut; `stride` shrinks y and x."""

    def __init__(self, channels: int, wider: int, stride: int) -> None:
        super().__init__()
        step = (1, stride, stride)
        self.first = nn.Conv3d(channels, wider, 3, stride=step, padding=1, bias=False)
        self.second = nn.Conv3d(wider, wider, 3, padding=1, bias=False)
        self.gate = Gate(wider)
        same = stride == 1 and channels == wider
        self.shortcut = nn.Identity() if same else nn.Conv3d(channels, wider, 1, stride=step, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, c, z, y, x) to (b, wider, z, y / stride, x / stride)."""
        return F.relu(self.gate(self.second(F.relu(self.first(x)))) + self.shortcut(x))


class Encoder(nn.Module):
    """Stem and four layers of two residual blocks; a code may be added to the input of each.

    Args:
        widths: Channels of stem and first layer, second, third and fourth layer.
        planes: Channels of the input.
        stem_gate: Gate the stem too (DGEAN).
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, planes: int = 1, stem_gate: bool = False) -> None:
        super().__init__()
        inputs = (widths[0], *widths[:3])
        self.inputs = (widths[0], *inputs)  # channels of the five codes
        self.stem = nn.Conv3d(planes, widths[0], (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.gate = Gate(widths[0]) if stem_gate else nn.Identity()
        self.layers = nn.ModuleList(
            nn.Sequential(ResidualBlock(c, wider, stride), ResidualBlock(wider, wider, 1))
            for c, wider, stride in zip(inputs, widths, (1, 2, 2, 1), strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, sections: Tensor, codes: Sequence[Tensor | None] = NO_CODES) -> list[Tensor]:
        """Features of stem and layers at 1/2, 1/2, 1/4, 1/8, 1/8 of y and x; y and x are multiples of 8."""
        features = [self.gate(F.relu(with_code(self.stem(sections), codes[0])))]
        for layer, code in zip(self.layers, codes[1:], strict=True):
            features.append(layer(with_code(features[-1], code)))
        return features


def with_code(x: Tensor, code: Tensor | None) -> Tensor:
    """Features plus a code that is broadcast over y and x."""
    return x if code is None else x + code


class Decoder(nn.Module):
    """Five gated steps back to full size, each but the last joined by the encoder's features of its size.

    Args:
        widths: See `Encoder`.
        activation: After every step.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, activation: Activation = leaky_relu) -> None:
        super().__init__()
        one, two, three, four = widths
        self.activation = activation
        self.steps = nn.ModuleList(
            nn.Sequential(convolution, Gate(convolution.out_channels))
            for convolution in (
                nn.Conv3d(four, three, 3, padding=1),
                enlarging(2 * three, two),
                enlarging(2 * two, one),
                nn.Conv3d(2 * one, one, 3, padding=1),
                enlarging(2 * one, one),
            )
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The encoder's five features to (b, widths[0], 4, y, x)."""
        x = features[-1]
        for step, beside in zip(self.steps, [*reversed(features[:-1]), None], strict=True):
            x = self.activation(step(x))
            if beside is not None:
                x = torch.cat([x, beside], dim=1)
        return x


def enlarging(channels: int, fewer: int) -> nn.ConvTranspose3d:
    """Transposed convolution that doubles y and x."""
    return nn.ConvTranspose3d(channels, fewer, (3, 4, 4), stride=(1, 2, 2), padding=1)


class Backbone(nn.Module):
    """From four sections to one image."""

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        *,
        planes: int = 1,
        stem_gate: bool = False,
        activation: Activation = leaky_relu,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.encoder = Encoder(widths, planes, stem_gate)
        self.decoder = Decoder(widths, activation)
        self.fuse = nn.Conv2d(SECTIONS * widths[0], widths[0], 1, bias=False)
        self.last = nn.Conv2d(widths[0], 1, 7)

    def forward(self, sections: Tensor, codes: Sequence[Tensor | None] = NO_CODES) -> Tensor:
        """Mean-free sections (b, planes, 4, y, x) to (b, 1, y, x)."""
        features = self.decoder(self.encoder(sections, codes))  # (b, c, 4, y, x)
        fused = self.activation(self.fuse(features.transpose(1, 2).flatten(1, 2)))  # all channels of section 0 first
        result: Tensor = self.last(F.pad(fused, (3, 3, 3, 3), mode="reflect"))
        return result
