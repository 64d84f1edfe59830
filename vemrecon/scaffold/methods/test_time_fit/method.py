"""What Example does: a network is fitted to every tile by itself, on its sections after rows of them are dropped."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vemrecon.methods import Method, SectionGrid, Tile, TileShape, derive_seed, interpolated


class Example(Method):
    """Linear interpolation and a correction, learned from the tile that it is for.

    Args:
        steps: Of the fit of a tile.
        width: Channels of the network.
        rate: Learning rate.
    """

    card = Path(__file__).with_name("card.yaml")
    presets = Path(__file__).with_name("presets.yaml")
    any_grid = True
    fits_at_test = True  # `reconstruct` runs with gradients

    def __init__(self, steps: int = 100, width: int = 16, rate: float = 3e-3) -> None:
        super().__init__()
        self.steps, self.width, self.rate = steps, width, rate
        self.tile = TileShape(16, 64, 64, halo=(3, 2, 2))

    def supports(self, scale: float, grid: SectionGrid) -> str | None:
        """Reason to decline a task; its run is then listed with the reason."""
        return None if grid.thin and scale == round(scale) else "it drops whole rows, as kept sections are dropped"

    def reconstruct(self, tile: Tile) -> Tensor:
        """Fit, then restore; the seed of the run and the place of the tile decide the first weights."""
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "fit", *tile.origin))
            last = nn.Conv2d(self.width, 1, 3, padding=1)
            nn.init.zeros_(last.weight)
            net = nn.Sequential(nn.Conv2d(1, self.width, 3, padding=1), nn.ReLU(), last).to(tile.observed.device)
        optimizer, lateral = torch.optim.Adam(net.parameters(), lr=self.rate), tile.grid.canonical
        sections = tile.observed[0, 0][:, None]  # (z, 1, y, x): y plays the part of z
        coarse = sections[:, :, :: round(tile.scale)]
        known = lateral.covered(coarse.shape[2])
        for _ in range(self.steps):
            linear = interpolated(coarse, lateral)[:, :, :known]
            loss = mse_loss(linear + net(linear), sections[:, :, :known])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            linear = interpolated(tile.observed[0, 0].permute(1, 0, 2)[:, None], tile.grid)
            return (linear + net(linear))[:, 0].permute(1, 0, 2)[None, None]
