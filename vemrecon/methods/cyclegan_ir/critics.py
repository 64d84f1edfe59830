"""The two critics (discriminators) of CycleGAN-IR; each gives one score per section, the mean of its map.

The axial critic halves columns only, because axial sections have few rows; it pads one column although its kernel is
seven wide. Biases in front of an instance norm have no effect: in the release Adam moves them by rounding errors, here
they rest, so that one and several devices agree. Source: released code of IsoRecon, as its specification describes it.
"""

from __future__ import annotations

from torch import Tensor, nn

LEAST_ROWS, LEAST_COLUMNS = 24, 61
"""Of a lateral section for its critic, and of an axial one for its: smaller ones leave no pixel of the map."""


class Critic(nn.Module):
    """Convolutions to a map of scores.

    Args:
        widths: Channels of the layers before the last.
        strides: Of all layers, rows and columns.
        kernel: Of all layers; the padding is 1.
    """

    def __init__(self, widths: tuple[int, ...], strides: tuple[tuple[int, int], ...], kernel: tuple[int, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for number, (width, stride) in enumerate(zip(widths, strides, strict=False)):
            convolution = nn.Conv2d(channels, width, kernel, stride, padding=1)
            layers.append(convolution)
            if number:
                layers.append(nn.InstanceNorm2d(width))
                if convolution.bias is not None:
                    convolution.bias.requires_grad_(False)
            layers.append(nn.LeakyReLU(0.2))
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, kernel, strides[-1], padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Scores, shape (b,), of sections (b, 1, rows, columns)."""
        scores: Tensor = self.layers(x).mean(dim=(1, 2, 3))
        return scores


def axial_critic(width: int = 32) -> Critic:
    """Tells recorded axial sections from degraded lateral ones."""
    return Critic((width, 2 * width, 4 * width), ((1, 2), (1, 2), (1, 2), (1, 1)), (3, 7))


def lateral_critic(width: int = 32) -> Critic:
    """Tells recorded lateral sections from reconstructed axial ones."""
    return Critic((width, 2 * width, 4 * width, 4 * width), ((2, 2), (2, 2), (2, 2), (1, 1), (1, 1)), (4, 4))
