"""Rows about tiles: what large ones, planes without needless margins and bfloat16 are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ratios import Ratio, in_turns, row

if TYPE_CHECKING:
    from torch import Tensor

    from vemrecon.methods.base import Method, Tile

SCALE = 8
SHAPES = {"lateral-cnn": (16, 128, 128), "cyclegan-ir": (4, 128, 128)}
LARGE = (128, 1024, 1024)
FIXED = {"lateral-cnn": (32, 64, 64), "cyclegan-ir": (32, 256, 256)}
"""Cores of the baseline."""
PIXELS = 1 << 19  # that the baseline restores at once


def plain(method: Method, core: Sequence[int], enlarged: int) -> Method:
    """A network of planes in the plain form: all planes of a tile with all margins, in large batches."""
    import torch

    from vemrecon.methods.base import Method, TileShape

    class Plain(Method):
        def __init__(self) -> None:
            super().__init__()
            self.tile = TileShape(core[0], core[1], core[2], halo=method.tile.halo)

        def reconstruct(self, tile: Tile) -> Tensor:
            made = []
            for order, back in (((1, 0, 2), (1, 0, 2)), ((2, 0, 1), (1, 2, 0))):
                planes = tile.observed[0, 0].permute(order)[:, None]
                parts = planes.split(max(1, PIXELS // (enlarged * planes[0].numel())))
                made.append(torch.cat([method.restore(part)[:, 0] for part in parts]).permute(back))
            return (0.5 * (made[0] + made[1]))[None, None]

    return Plain().eval()


def in_tiles(name: str, short: bool = False) -> Ratio:
    """Seconds of the engine and of plain tiles in float32, kept in floats."""
    import numpy as np
    import torch
    from engine import method_and_volume

    from vemrecon.infer.reconstruct import reconstruct_array
    from vemrecon.methods.applied import Applied
    from vemrecon.volume import Volume

    method, observed = method_and_volume(name, SHAPES[name], SCALE)
    chance = torch.Generator().manual_seed(0)
    for parameter in method.parameters():  # an untrained network often adds nothing to an interpolation
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.02, generator=chance)
    like = replace(Volume(np.zeros((1, 1, 1), np.float32), None, "floats"), intensity_range=(0.0, 1.0))
    baseline = plain(method, FIXED[name], SCALE if name == "cyclegan-ir" else 1)
    ours = Applied(method, short=True).eval() if short else method
    made: dict[str, Any] = {}

    def run(key: str, one: Method) -> None:
        made[key] = reconstruct_array(one, observed, like=like)

    seconds = in_turns(lambda: run("ours", ours), lambda: run("baseline", baseline), 2)
    return Ratio(*seconds, f"{abs(made['ours'] - made['baseline']).max():.0e}")


def seen(name: str) -> Ratio:
    """Voxels that networks work on for each useful one."""
    from engine import method_and_volume

    from vemrecon.infer.tiles import TilePlan
    from vemrecon.methods.base import TileShape

    method, observed = method_and_volume(name, SHAPES[name], SCALE)
    fixed = TileShape(*FIXED[name], halo=method.tile.halo)
    useful, found = 2 * LARGE[0] * LARGE[1] * LARGE[2], []
    for tile, margins in ((method.tile, False), (fixed, True)):
        count = 0
        for place in TilePlan.of(LARGE, observed.require_grid(), tile).tiles():
            z, y, x = place.tile.shape
            _, rows, columns = (z, y, x) if margins else place.output.shape
            count += z * (rows * x + columns * y)
        found.append(count / useful)
    return Ratio(found[0], found[1], "none")


PLAIN = "tiles of {} in float32, all margins in all planes, half a million pixels at once"


def _add(name: str) -> None:
    core, size = (" x ".join(map(str, one)) for one in (FIXED[name], SHAPES[name]))
    baseline = PLAIN.format(core)
    row(f"tiles-{name}", f"{name} x8 of {size}", baseline)(lambda: in_tiles(name))
    words = f"{name} x8: voxels worked on for each one of {' x '.join(map(str, LARGE))}"
    row(f"seen-{name}", words, f"tiles of {core}, all margins in all planes")(lambda: seen(name))


for _name in SHAPES:
    _add(_name)


@row("tiles-bf16", "lateral-cnn x8 of 16 x 128 x 128 in bfloat16", PLAIN.format("32 x 64 x 64"))
def in_bfloat16() -> Ratio:
    """Where the processor has it; else it is refused."""
    return in_tiles("lateral-cnn", short=True)
