"""The two generators of CycleGAN-IR: a plain residual network on a section whose rows were enlarged or reduced first.

Sections are (b, 1, rows, columns) in [-1, 1]; rows run along the axial axis. The resampled section is both what the
network sees and what its output is added to. Source: released code of IsoRecon, as its specification describes it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.methods.interpolation import interpolated
from vemrecon.methods.lateral_cnn import ResidualBlock
from vemrecon.volume import SectionGrid


class Enlarge(nn.Module):
    """Linear interpolation of rows at their true positions.

    Those of slab means are the half-pixel centres of the released code; kept sections keep their place.
    """

    def __init__(self, grid: SectionGrid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, 1, h, w) to (b, 1, h * scale, w)."""
        return interpolated(x, self.grid)


class Reduce(nn.Module):
    """Means of slabs of rows as in the released code, or the rows that were kept."""

    def __init__(self, grid: SectionGrid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, 1, h, w) to (b, 1, h / scale, w)."""
        step = round(self.grid.scale)
        return x[:, :, ::step] if self.grid.thin else F.avg_pool2d(x, (step, 1))


class Generator(nn.Module):
    """`resample(x) + network(resample(x))`, not bounded.

    Args:
        resample: Without parameters, so that weights fit every scale.
        width: Channels.
        blocks: Residual blocks.
    """

    def __init__(self, resample: nn.Module, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        self.resample = resample
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            *(ResidualBlock(width) for _ in range(blocks)),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Sections of one kind to the other."""
        resampled = self.resample(x)
        result: Tensor = resampled + self.layers(resampled)
        return result


def start_orthogonal(net: nn.Module) -> None:
    """Orthogonal weights and zero biases; the released code starts the reconstruction network so, and no other."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.orthogonal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def reach_of(blocks: int) -> int:
    """Pixels of the enlarged section on either side that a pixel of the result depends on.

    >>> reach_of(9)
    20
    """
    return 2 * blocks + 2
