"""What Example does: a network of blocks learns from isotropic truth of the training region."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from vemrecon.methods import (
    IsotropicBlocks,
    Method,
    SectionGrid,
    Stage,
    Tile,
    TileShape,
    WeightChoice,
    epoch_of,
    falling,
    interpolated,
)


class Example(Method):
    """Linear interpolation and what two convolutions in three dimensions add to it.

    Args:
        grid: Where sections lie; given by the task.
        width: Channels of the network.
        budget: Batches of the training.
        batch: Blocks of a batch.
        rate: Learning rate of the first batch.
    """

    card = Path(__file__).with_name("card.yaml")
    presets = Path(__file__).with_name("presets.yaml")

    def __init__(
        self, grid: SectionGrid, width: int = 16, budget: int = 2000, batch: int = 4, rate: float = 1e-3
    ) -> None:
        super().__init__()
        self.grid, self.budget, self.batch, self.rate = grid, budget, batch, rate
        last = nn.Conv3d(width, 1, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.net = nn.Sequential(nn.Conv3d(1, width, 3, padding=1), nn.ReLU(), last)
        self.tile = TileShape(8, 64, 64, halo=(3, 2, 2))

    def stages(self) -> tuple[Stage, ...]:
        """The weights that are best on held-out blocks are kept."""
        patches, epoch = IsotropicBlocks(sections=4, width=48), epoch_of(self.budget)
        choice = WeightChoice("best")
        return (Stage("fit", ("net",), patches, self.budget, self.batch, epoch=epoch, choice=choice),)

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """Adam with a falling rate."""
        return falling(torch.optim.Adam(self.net.parameters(), lr=self.rate), self.stage)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Mean absolute error up to the last section."""
        rows = self.grid.covered(batch["observed"].shape[2])
        return l1_loss(self.restore(batch["observed"])[:, :, :rows], batch["target"][:, :, :rows])

    def restore(self, observed: Tensor) -> Tensor:
        """Blocks (b, 1, z, y, x) to (b, 1, z * scale, y, x)."""
        linear = interpolated(observed, self.grid)
        return linear + self.net(linear)

    def reconstruct(self, tile: Tile) -> Tensor:
        """One pass over the tile."""
        return self.restore(tile.observed)
