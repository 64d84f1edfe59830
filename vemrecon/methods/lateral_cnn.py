"""`lateral-cnn`, our own minimal learned baseline: a small 2D network on top of registered linear interpolation.

Trained on xy sections whose one lateral axis is degraded as the axial axis was; applied to all xz and yz sections of a
volume, and averaged. Published numbers: none. Every learned method is read against it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.data.patches import LateralSections
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.interpolation import interpolated
from vemrecon.methods.plane_by_plane import LARGEST, mean_of_planes
from vemrecon.methods.rates import falling
from vemrecon.methods.short_floats import short_floats
from vemrecon.methods.stage import Stage, epoch_of
from vemrecon.methods.weight_choice import Keep, WeightChoice
from vemrecon.volume import SectionGrid


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (b, width, h, w) in and out."""
        return x + self.second(F.relu(self.first(x)))


class SectionNetwork(nn.Module):
    """From (b, 1, h, w) to (b, 1, h * scale, w): what linear interpolation along h misses."""

    def __init__(self, scale: int, width: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, scale, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # training starts at linear interpolation
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Residual in grey levels of [0, 1]."""
        fine = self.tail(self.body(self.head(x - 0.5)))  # (b, scale, h, w)
        b, scale, h, w = fine.shape
        return fine.transpose(1, 2).reshape(b, 1, h * scale, w)


class LateralCNN(Method):
    """Residual network at observed resolution with an axial pixel shuffle.

    `choice` is by PSNR. With `bf16` it is trained in bfloat16 where a device computes in it: twice as many batches in
    the same time on a processor that does.
    """

    def __init__(
        self,
        scale: float,
        grid: SectionGrid,
        width: int = 64,
        blocks: int = 4,
        patch: int = 64,
        batch: int = 16,
        budget: int = 2000,
        learning_rate: float = 1e-3,
        choice: Keep = "last",
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.scale, self.grid = scale, grid
        self.patch, self.batch, self.budget, self.learning_rate = patch, batch, budget, learning_rate
        self.choice, self.bf16 = WeightChoice(choice), bf16
        self.net = SectionNetwork(max(1, round(scale)), width, blocks)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a sixth faster on a CPU
        reach = 2 * blocks + 2
        self.tile = TileShape(32, 64, 64, halo=(reach, reach, reach), largest=round(LARGEST / scale))

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Whole scales only: the pixel shuffle makes a whole number of sections."""
        return None if float(scale).is_integer() else "its pixel shuffle needs a whole scale"

    def stages(self) -> tuple[Stage, ...]:
        """One stage on single sections."""
        patches, epoch = LateralSections(self.patch, self.patch), epoch_of(self.budget)
        return (Stage("fit", ("net",), patches, self.budget, self.batch, epoch=epoch, choice=self.choice),)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """Adam with a cosine to zero."""
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.learning_rate)
        return falling(optimizer, self.stage)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """L1, without the rows behind the last kept one: those are guesses."""
        rows = self.grid.covered(batch["observed"].shape[2])
        return F.l1_loss(self.restore(batch["observed"])[:, :, :rows], batch["target"][:, :, :rows])

    def restore(self, observed: Tensor) -> Tensor:
        """Sections of shape (b, 1, h, w) with h coarse, to (b, 1, h * scale, w)."""
        with short_floats(observed.device, self.bf16 and self.training):
            missing = self.net(observed)
        return interpolated(observed, self.grid) + missing.float()

    def reconstruct(self, tile: Tile) -> Tensor:
        """Mean over all xz and all yz sections; the former alone where y counts sections."""
        return mean_of_planes(self.restore, tile, ("xz", "yz") if tile.turns else ("xz",))
