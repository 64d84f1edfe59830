"""What Example does: registered linear interpolation, moved towards cubic interpolation. It learns nothing."""

from pathlib import Path

from torch import Tensor

from vemrecon.methods import Method, Tile, TileShape, interpolated


class Example(Method):
    """Linear interpolation, sharpened by part of what a cubic kernel adds to it.

    Args:
        amount: The part; 0 is linear interpolation, 1 the cubic kernel.
    """

    card = Path(__file__).with_name("card.yaml")
    any_grid = True  # it asks the tile where sections lie, wherever that is

    def __init__(self, amount: float = 0.5) -> None:
        super().__init__()
        self.amount = amount
        self.tile = TileShape(32, 128, 128, halo=(2, 0, 0))  # two sections on either side decide a voxel

    def reconstruct(self, tile: Tile) -> Tensor:
        """Shape (1, 1, z, y, x) to (1, 1, z * scale, y, x)."""
        linear, cubic = (interpolated(tile.observed, tile.grid, kernel) for kernel in ("linear", "cubic_a-0.5"))
        return (linear + self.amount * (cubic - linear)).clamp(0, 1)
