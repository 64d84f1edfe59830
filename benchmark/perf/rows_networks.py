"""Rows about networks and their kernels."""

from __future__ import annotations

import argparse

from ratios import Ratio, in_turns, row

SIDE = 1536  # of the matrices whose product is the peak
TILES = {
    "lateral-cnn": (8, 48, 48),
    "sup-aenet": (8, 48, 48),
    "srunet": (8, 64, 64),
    "cyclegan-ir": (8, 48, 48),
    "irsde": (4, 32, 32),
    "isovem": (8, 32, 32),
    "vemamba": (8, 32, 32),
}
"""Observed voxels of a forward pass of a few seconds."""


def share_of_peak(name: str) -> Ratio:
    """Seconds of a tile, and those that its operations would take in a product of large matrices."""
    import torch
    from engine import method_and_volume

    from vemrecon.methods.base import Tile, reconstruct_tile
    from vemrecon.methods.flops import count_flops

    method, observed = method_and_volume(name, TILES[name], 8)
    voxels = torch.from_numpy(observed.read(observed.whole))[None, None]
    tile = Tile(voxels, observed.require_grid(), (0, 0, 0))
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    work = count_flops(method.to("meta"), Tile(voxels.to("meta"), tile.grid, (0, 0, 0))).total
    method, _ = method_and_volume(name, TILES[name], 8)
    ours, product = in_turns(lambda: reconstruct_tile(method, tile), lambda: a @ b, 3)
    return Ratio(ours, work / (2 * SIDE**3 / product))


def _add(name: str) -> None:
    size = " x ".join(map(str, TILES[name]))
    row(f"peak-{name}", f"{name} x8 of a tile of {size}", "its operations at the speed of a float32 matrix product")(
        lambda: share_of_peak(name)
    )


for _name in TILES:
    _add(_name)


@row("scan", "selective scan of 16384 steps, chunked, with gradients", "textbook form")
def scan_steps() -> Ratio:
    """48 channels, 16 states."""
    import torch
    from scan import inputs, scan_function

    tensors = inputs(1, 48, 1, 16, 16384, "cpu")

    def run(kind: str) -> torch.Tensor:
        for x in tensors:
            x.grad = None
        made = scan_function(kind)(*tensors)
        made.square().sum().backward()
        return made.detach()

    gap = float((run("chunked") - run("textbook")).abs().max() / run("textbook").abs().max())
    return Ratio(*in_turns(lambda: run("chunked"), lambda: run("textbook"), 3), f"{gap:.0e}")


@row("gaussians", "rendering 1024 Gaussians on 64 x 64, with gradients", "every Gaussian at every pixel")
def render_gaussians() -> Ratio:
    """Mode alpha."""
    from gauss import measure

    options = argparse.Namespace(threads=1, density=0.25, device="cpu")
    found = [measure(kind, "alpha", 64, options)["seconds"] for kind in ("tiled", "dense")]
    return Ratio(found[0], found[1])
