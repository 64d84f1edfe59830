"""What Example does: a small network corrects interpolated planes. It learns from recorded sections, whose one lateral
axis is degraded as the axial one was: there the section as it was is the answer.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from vemrecon.methods import (
    LateralSections,
    Method,
    SectionGrid,
    Stage,
    Tile,
    TileShape,
    epoch_of,
    falling,
    interpolated,
)


class Example(Method):
    """Linear interpolation and what three convolutions add to it, plane by plane.

    Args:
        grid: Where sections lie; given by the task.
        width: Channels of the network.
        budget: Batches of the training.
        batch: Planes of a batch.
        rate: Learning rate of the first batch.
    """

    card = Path(__file__).with_name("card.yaml")
    presets = Path(__file__).with_name("presets.yaml")

    def __init__(
        self, grid: SectionGrid, width: int = 32, budget: int = 2000, batch: int = 16, rate: float = 1e-3
    ) -> None:
        super().__init__()
        self.grid, self.budget, self.batch, self.rate = grid, budget, batch, rate
        last = nn.Conv2d(width, 1, 3, padding=1)
        nn.init.zeros_(last.weight)  # the training begins at linear interpolation
        first, second = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
        self.tile = TileShape(16, 64, 64, halo=(4, 3, 3))  # what a voxel depends on, in observed voxels

    @property
    def any_scale(self) -> bool:
        """Its network works on planes that are interpolated already."""
        return True

    def stages(self) -> tuple[Stage, ...]:
        """One: `net` learns from pairs of `observed` (1, rows, columns) and `target` (1, rows * scale, columns)."""
        return (Stage("fit", ("net",), LateralSections(64, 64), self.budget, self.batch, epoch=epoch_of(self.budget)),)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """The rate follows the stage at work, so that `--track` can change its length."""
        return falling(torch.optim.Adam(self.net.parameters(), lr=self.rate), self.stage)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Mean absolute error; rows behind the last section are left out, since nothing is known of them."""
        rows = self.grid.covered(batch["observed"].shape[2])
        return l1_loss(self.restore(batch["observed"])[:, :, :rows], batch["target"][:, :, :rows])

    def restore(self, observed: Tensor) -> Tensor:
        """Planes (b, 1, rows, columns) to (b, 1, rows * scale, columns); also what validation looks at."""
        linear = interpolated(observed, self.grid)
        return linear + self.net(linear)

    def reconstruct(self, tile: Tile) -> Tensor:
        """Mean over the xz and the yz planes of the tile; `tile.turns` says whether both are alike."""
        volume = tile.observed[0, 0]  # (z, y, x)
        made = self.restore(volume.permute(1, 0, 2)[:, None])[:, 0].permute(1, 0, 2)
        if tile.turns:
            made = (made + self.restore(volume.permute(2, 0, 1)[:, None])[:, 0].permute(1, 2, 0)) / 2
        return made[None, None]
