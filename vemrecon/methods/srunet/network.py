"""The 3D SR-UNet: plain convolutions, with transposed ones that enlarge z between the levels.

Source: the code that D2R and vEMDiffuse share (MIT in the latter; rewritten here from a description), after Heinrich et
al., "Deep learning for isotropic super-resolution from non-isotropic 3D electron microscopy", MICCAI 2017.
The kernels of the transposed convolutions are shorter than their strides: at scale 8, five of eight sections of the
first one hold its bias alone, and the convolutions behind it spread the rest. The published network is like this.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128)
Stride = tuple[int, int, int]


class Convolutions(nn.Sequential):
    """Three 3 x 3 x 3 convolutions, each with a ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        layers = [nn.Conv3d(channels if i == 0 else width, width, 3, padding=1) for i in range(3)]
        super().__init__(*(module for layer in layers for module in (layer, nn.ReLU())))


class Enlarge(nn.Module):
    """Transposed 3 x 3 x 3 convolution to exactly `stride` times the size; the stride is given with the input."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        bare = nn.ConvTranspose3d(channels, width, 3)
        self.weight, self.bias = bare.weight, bare.bias

    def forward(self, x: Tensor, stride: Stride) -> Tensor:
        """Shape (b, c, z, y, x) to (b, width, sz z, sy y, sx x)."""
        beyond = tuple(s - 1 for s in stride)
        return F.conv_transpose3d(x, self.weight, self.bias, stride, padding=1, output_padding=beyond)


class SRUNetwork(nn.Module):
    """From (b, 1, z, y, x) to (b, 1, scale z, y, x), grey levels in [-1, 1]; output section `scale k` is at input k.

    Args:
        widths: Channels of the three levels; 2 408 257 parameters for the published ones, at any scale.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        one, two, three = widths
        self.down1, self.down2, self.down3 = Convolutions(1, one), Convolutions(one, two), Convolutions(two, three)
        self.enlarge1, self.enlarge2, self.enlarge3 = Enlarge(one, one), Enlarge(two, two), Enlarge(three, two)
        self.up2 = Convolutions(2 * two, two)
        self.enlarge4 = Enlarge(two, one)
        self.up1 = Convolutions(2 * one, one)
        self.last = nn.Conv3d(one, 1, 3, padding=1)

    def forward(self, x: Tensor, scale: int) -> Tensor:
        """Enlarge z by an even scale; y and x are multiples of 4."""
        first = self.down1(x)
        second = self.down2(F.max_pool3d(first, (1, 2, 2)))
        third = self.down3(F.max_pool3d(second, (1, 2, 2)))
        middle = torch.cat([self.enlarge3(third, (2, 2, 2)), self.enlarge2(second, (2, 1, 1))], dim=1)
        fine = self.enlarge4(self.up2(middle), (scale // 2, 2, 2))
        result: Tensor = self.last(self.up1(torch.cat([self.enlarge1(first, (scale, 1, 1)), fine], dim=1)))
        return result
