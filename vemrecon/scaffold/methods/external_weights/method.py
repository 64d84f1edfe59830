"""What Example does: a network corrects interpolated planes with weights that were learned elsewhere."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from vemrecon.methods import Method, Tile, TileShape, interpolated


class Example(Method):
    """Linear interpolation and a correction by weights of a file, which its card declares."""

    card = Path(__file__).with_name("card.yaml")
    any_grid = True

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
        self.net.load_state_dict(load_file(self.weight_file("weights.safetensors")))
        self.tile = TileShape(16, 64, 64, halo=(3, 2, 2))

    def reconstruct(self, tile: Tile) -> Tensor:
        """The planes along y."""
        linear = interpolated(tile.observed[0, 0].permute(1, 0, 2)[:, None], tile.grid)
        return (linear + self.net(linear))[:, 0].permute(1, 0, 2)[None, None]
