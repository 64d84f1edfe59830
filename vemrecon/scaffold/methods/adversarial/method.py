"""What Example does: a network corrects interpolated planes until they are right and a critic takes them for real."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from vemrecon.methods import LateralSections, Method, SectionGrid, Stage, Tile, TileShape, epoch_of, interpolated


class Example(Method):
    """Linear interpolation and a correction, learned against a critic of planes.

    Args:
        grid: Where sections lie; given by the task.
        width: Channels of the network and of its critic.
        budget: Batches of the training.
        batch: Planes of a batch.
        rate: Learning rate of both.
        weight: Of what the critic says, beside the mean absolute error.
    """

    card = Path(__file__).with_name("card.yaml")
    presets = Path(__file__).with_name("presets.yaml")
    unused_parameters = True  # one of the two networks rests in each backward pass; several devices have to know

    def __init__(
        self,
        grid: SectionGrid,
        width: int = 32,
        budget: int = 2000,
        batch: int = 8,
        rate: float = 5e-4,
        weight: float = 0.01,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # `training_step` takes the steps of its two optimisers itself
        self.grid, self.budget, self.batch, self.rate, self.weight = grid, budget, batch, rate, weight
        last = nn.Conv2d(width, 1, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.net = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), last)
        self.critic = nn.Sequential(
            nn.Conv2d(1, width, 4, stride=2), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 4, stride=2)
        )
        self.tile = TileShape(16, 64, 64, halo=(3, 2, 2))

    def stages(self) -> tuple[Stage, ...]:
        """Both learn in one stage."""
        patches, parts = LateralSections(48, 48), ("net", "critic")
        return (Stage("fit", parts, patches, self.budget, self.batch, epoch=epoch_of(self.budget)),)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One each; checkpoints keep both."""
        return [torch.optim.Adam(part.parameters(), lr=self.rate) for part in (self.net, self.critic)]

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
        """One step of either; losses by name, all of which are kept."""
        rows = self.grid.covered(batch["observed"].shape[2])
        real, made = batch["target"][:, :, :rows], self.restore(batch["observed"])[:, :, :rows]
        net, critic = cast(list[Any], self.optimizers())
        right, fooled = l1_loss(made, real), (self.critic(made) - 1).square().mean()
        net.zero_grad()
        self.manual_backward(right + self.weight * fooled)
        net.step()
        told = (self.critic(real) - 1).square().mean() + self.critic(made.detach()).square().mean()
        critic.zero_grad()
        self.manual_backward(told)
        critic.step()
        return {"loss": right.detach(), "critic": told.detach()}

    def restore(self, observed: Tensor) -> Tensor:
        """Planes (b, 1, rows, columns) to (b, 1, rows * scale, columns)."""
        linear = interpolated(observed, self.grid)
        return linear + self.net(linear)

    def reconstruct(self, tile: Tile) -> Tensor:
        """The planes along y."""
        planes = tile.observed[0, 0].permute(1, 0, 2)[:, None]
        return self.restore(planes)[:, 0].permute(1, 0, 2)[None, None]
