"""`lateral-cnn`, our own minimal learned baseline: a small 2D network on top of registered linear interpolation.

Trained on xy sections whose one lateral axis is degraded as the axial axis was; applied to all xz and yz sections of a
volume, and averaged. Published numbers: none. Every learned method is read against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.data.patches import LateralSections
from vemrecon.errors import ConfigError
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
    """From (b, 1, h, w) to (b, 1, h * scale, w): what linear interpolation along h misses.

    With several `columns`, so many neighbours along w are channels of one, which sees as many times further for the
    same work; w is a multiple of them.
    """

    def __init__(self, scale: int, width: int, blocks: int, columns: int = 1) -> None:
        super().__init__()
        self.columns = columns
        self.head = nn.Conv2d(columns, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, scale * columns, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # training starts at linear interpolation
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Residual in grey levels of [0, 1]."""
        b, _, h, w = x.shape
        together = (x - 0.5).reshape(b, h, w // self.columns, self.columns).permute(0, 3, 1, 2)
        fine = self.tail(self.body(self.head(together))).unflatten(1, (-1, self.columns))  # (b, scale, columns, h, w)
        return fine.permute(0, 3, 1, 4, 2).reshape(b, 1, -1, w)


class LateralCNN(Method):
    """Residual network at observed resolution with an axial pixel shuffle.

    `choice` is by PSNR. With `bf16` it is trained in bfloat16 where a device computes in it: twice as many batches in
    the same time on a processor that does. `columns` are those of `SectionNetwork`; `loss` is l1 or l2.
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
        columns: int = 1,
        loss: Literal["l1", "l2"] = "l1",
    ) -> None:
        super().__init__()
        if columns < 1:
            raise ConfigError(f"columns of lateral-cnn are {columns}; give 1 or more")
        self.scale, self.grid, self.columns, self.loss = scale, grid, columns, loss
        self.patch, self.batch, self.budget, self.learning_rate = patch, batch, budget, learning_rate
        self.choice, self.bf16 = WeightChoice(choice), bf16
        self.net = SectionNetwork(max(1, round(scale)), width, blocks, columns)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a sixth faster on a CPU
        reach = 2 * blocks + 2
        lateral = columns * (reach + (columns > 1))  # a tile that begins between them sees one more in part
        self.tile = TileShape(32, 64, 64, halo=(reach, lateral, lateral), largest=round(LARGEST / scale))

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
        """Without the rows behind the last kept one: those are guesses."""
        rows = self.grid.covered(batch["observed"].shape[2])
        distance = F.l1_loss if self.loss == "l1" else F.mse_loss
        return distance(self.restore(batch["observed"])[:, :, :rows], batch["target"][:, :, :rows])

    def restore(self, observed: Tensor) -> Tensor:
        """Sections of shape (b, 1, h, w) with h coarse, to (b, 1, h * scale, w)."""
        width = observed.shape[3]
        beyond = -width % self.columns
        given = F.pad(observed, (0, beyond, 0, 0), mode="replicate") if beyond else observed
        with short_floats(observed.device, self.bf16 and self.training):
            missing = self.net(given)
        return interpolated(observed, self.grid) + missing[..., :width].float()

    def reconstruct(self, tile: Tile) -> Tensor:
        """Mean over all xz and all yz sections; the former alone where y counts sections."""
        y, x = (first % self.columns for first in tile.origin[1:])
        if y or x:  # which columns are taken together must not depend on where a tile begins
            extent = tile.observed.shape[3:]
            (a, b, _), (c, d, _) = (one.indices(n) for one, n in zip(tile.kept, extent, strict=True))
            observed = F.pad(tile.observed, (x, 0, y, 0, 0, 0), mode="replicate")
            tile = replace(tile, observed=observed, kept=(slice(a + y, b + y), slice(c + x, d + x)))
        return mean_of_planes(self.restore, tile, ("xz", "yz") if tile.turns else ("xz",))[..., y:, x:]
