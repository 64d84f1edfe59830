"""How much faster layers are on a processor than plain torch, and how far results lie apart.

    python benchmark/perf/layers.py [--threads 1] [--rounds 5] [--only scan ...]

Each line is a layer or network of ours beside the same without kernels in C: the median of the ratios of rounds that
take turns, and the largest difference relative to the largest value. With `gradients` a backward pass is part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vemrecon.nets.kernels import without_kernels

Work = Callable[[], Sequence[Tensor]]


def compared(ours: Work, plain: Work, rounds: int) -> tuple[float, float]:
    """Time of plain over ours, and the largest relative difference of results."""
    pairs = zip(ours(), plain(), strict=True)
    apart = max(((p - q).abs().max() / q.abs().max().clamp_min(1e-30)).item() for p, q in pairs)
    ratios = []
    for _ in range(rounds):
        seconds = []
        for work in (ours, plain):
            begin = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begin)
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios), apart


def layer_ratio(layer: nn.Module, x: Tensor, gradients: bool, rounds: int) -> tuple[float, float]:
    """Of a module with its kernels, and without."""

    def run() -> Sequence[Tensor]:
        with contextlib.nullcontext() if gradients else torch.inference_mode():
            y = layer(x)
            if not gradients:
                return [y]
            return [y.detach(), *torch.autograd.grad(y.square().mean(), list(layer.parameters()))]

    def plain() -> Sequence[Tensor]:
        with without_kernels():
            return run()

    return compared(run, plain, rounds)


def scan(gradients: bool, rounds: int) -> tuple[float, float]:
    """Directional scans of published VEMamba: 4 orders of 24 channels, state 16, 16 x 16 x 64 voxels."""
    from vemrecon.methods.vemamba.alcssm import AXIAL_TO_LATERAL, DirectionalScan

    layer = DirectionalScan(24, AXIAL_TO_LATERAL, 16, 2)
    x = torch.randn(1, 16 * 16 * 64, 24)

    class OnGrid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scan = layer

        def forward(self, x: Tensor) -> Any:
            return self.scan(x, (16, 16, 64))

    return layer_ratio(OnGrid(), x, gradients, rounds)


def attention(gradients: bool, rounds: int) -> tuple[float, float]:
    """A block of published IsoVEM, shifted windows and mutual attention, on 8 x 16 x 128 tokens of 40 channels."""
    from vemrecon.nets.window_block import WindowBlock

    block = WindowBlock(40, (2, 2, 16), (1, 1, 8), 4, mutual=True).eval()
    return layer_ratio(block, torch.randn(1, 8, 16, 128, 40), gradients, rounds)


def isovem(gradients: bool, rounds: int) -> tuple[float, float]:
    """Published IsoVEM on 8 frames of 16 x 128."""
    from vemrecon.methods.isovem.network import IsoVEMNet

    net = IsoVEMNet(8, drop_path_rate=0.0).eval()

    class AtScale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, video: Tensor) -> Any:
            return self.net(video, 8)

    return layer_ratio(AtScale(), torch.rand(1, 8, 1, 16, 128), gradients, rounds)


def vemamba(gradients: bool, rounds: int) -> tuple[float, float]:
    """Published VEMamba with a fourth of its blocks, without its encoder, on 16 frames of 16 x 64."""
    from vemrecon.methods.vemamba.network import VEMambaNet

    net = VEMambaNet(8, depths=(1, 1, 1, 1), embedding=None)
    return layer_ratio(net, torch.rand(1, 1, 16, 16, 64), gradients, rounds)


LAYERS = {work.__name__: work for work in (scan, attention, isovem, vemamba)}
WITH_GRADIENTS = ("scan", "vemamba")
"""What is another computation while learning, too."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=LAYERS, default=list(LAYERS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.only:
        for gradients in (False, True) if name in WITH_GRADIENTS else (False,):
            torch.manual_seed(0)
            ratio, apart = LAYERS[name](gradients, options.rounds)
            print(
                f"{name:10} {'gradients' if gradients else '':9} {ratio:6.2f} times faster, {apart:.0e} apart",
                flush=True,
            )


if __name__ == "__main__":
    main()
