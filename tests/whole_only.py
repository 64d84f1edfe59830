"""A method that takes whole scales only, for tests of what is done about others."""

from vemrecon.methods import Method, MethodCard
from vemrecon.methods.base import TileShape
from vemrecon.methods.interpolation import Interpolation


class WholeOnly(Method):
    """B-splines, where the scale is whole, and even if asked for."""

    card = MethodCard("B-splines at whole scales", "none")
    calls = 0

    def __init__(self, even: bool = False) -> None:
        super().__init__()
        self.even, self.inner_method = even, Interpolation("bspline3")
        self.tile = TileShape(8, 32, 32, halo=(16, 0, 0))

    def supports(self, scale, grid):
        if self.even:
            return None if scale % 2 == 0 else "it needs an even scale"
        return None if float(scale).is_integer() else "it needs a whole scale"

    def reconstruct(self, tile):
        WholeOnly.calls += 1
        return self.inner_method.reconstruct(tile)

    @property
    def has_spread(self):
        return True

    def reconstruct_with_spread(self, tile):
        return self.reconstruct(tile), self.reconstruct(tile) / 4
