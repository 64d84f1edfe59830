"""What Example does: a network of planes is trained first; then, while it rests, one of blocks that corrects it."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vemrecon.methods import (
    LateralPairs,
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
    """Linear interpolation, a correction by planes, and one by blocks.

    Args:
        grid: Where sections lie; given by the task.
        width: Channels of both networks.
        plane_budget: Batches of the first stage.
        block_budget: Batches of the second stage.
        batch: Patches of a batch.
        rate: Learning rate of the first batch of either stage.
    """

    card = Path(__file__).with_name("card.yaml")
    presets = Path(__file__).with_name("presets.yaml")
    in_batches = ("plane_budget", "block_budget")  # arguments that count batches: a track changes all of them

    def __init__(
        self,
        grid: SectionGrid,
        width: int = 16,
        plane_budget: int = 2000,
        block_budget: int = 1000,
        batch: int = 4,
        rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.grid, self.batch, self.rate = grid, batch, rate
        self.budgets = plane_budget, block_budget
        last_2d, last_3d = nn.Conv2d(width, 1, 3, padding=1), nn.Conv3d(width, 1, 3, padding=1)
        for last in (last_2d, last_3d):
            nn.init.zeros_(last.weight)  # either stage begins at what there is before it
        self.planes = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), last_2d)
        self.blocks = nn.Sequential(nn.Conv3d(1, width, 3, padding=1), nn.ReLU(), last_3d)
        self.tile = TileShape(16, 64, 64, halo=(4, 4, 4))

    def stages(self) -> tuple[Stage, ...]:
        """One after the other; what is not named in a stage rests, and has the weights of the stage before."""
        planes, blocks = self.budgets
        return (
            Stage("planes", ("planes",), LateralSections(48, 48), planes, self.batch, epoch=epoch_of(planes)),
            Stage("blocks", ("blocks",), LateralPairs((8, 48, 48)), blocks, self.batch, epoch=epoch_of(blocks)),
        )

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]  # Lightning takes this form too
        """Of what the stage at work trains."""
        net = self.get_submodule(self.stage.trains[0])
        return falling(torch.optim.Adam(net.parameters(), lr=self.rate), self.stage)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Squared error; the coarse axis of either kind of patch is the one before the last."""
        rows = self.grid.covered(batch["observed"].shape[-2])
        return mse_loss(self.restore(batch["observed"])[..., :rows, :], batch["target"][..., :rows, :])

    def restore(self, observed: Tensor) -> Tensor:
        """Planes (b, 1, rows, columns), or blocks (b, 1, planes, rows, columns), with enlarged rows."""
        if observed.ndim == 4:
            return self.by_planes(observed)
        b, _, n, rows, columns = observed.shape
        planes = observed.reshape(b * n, 1, rows, columns)
        first = self.by_planes(planes).reshape(b, 1, n, -1, columns)
        return first + self.blocks(first)

    def by_planes(self, observed: Tensor) -> Tensor:
        """What the first stage makes."""
        linear = interpolated(observed, self.grid)
        return linear + self.planes(linear)

    def reconstruct(self, tile: Tile) -> Tensor:
        """The planes of a block are those along y."""
        return self.restore(tile.observed.transpose(2, 3)).transpose(2, 3)
