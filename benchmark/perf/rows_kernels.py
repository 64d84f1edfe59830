"""Rows about kernels in C: layers and networks with them, against the same in plain torch."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratios import Ratio, in_turns, row

if TYPE_CHECKING:
    from torch import Tensor, nn

PLAIN = "the same without kernels, in plain torch"


def with_and_without(layer: nn.Module, *inputs: Any, gradients: bool = False) -> Ratio:
    """Of a module; the difference is relative to the largest value of every result and gradient."""
    import torch

    from vemrecon.compiled import without_kernels

    def run() -> Sequence[Tensor]:
        with contextlib.nullcontext() if gradients else torch.inference_mode():
            y = layer(*inputs)
            if not gradients:
                return [y]
            return [y.detach(), *torch.autograd.grad(y.square().mean(), list(layer.parameters()))]

    def plain() -> Sequence[Tensor]:
        with without_kernels():
            return run()

    pairs = zip(run(), plain(), strict=True)
    gap = max(((p - q).abs().max() / q.abs().max().clamp_min(1e-30)).item() for p, q in pairs)
    return Ratio(*in_turns(run, plain), f"{gap:.0e}")


def directional_scan(gradients: bool) -> Ratio:
    """As in published VEMamba."""
    import torch

    from vemrecon.methods.vemamba.alcssm import AXIAL_TO_LATERAL, DirectionalScan

    torch.manual_seed(0)
    scan = DirectionalScan(24, AXIAL_TO_LATERAL, 16, 2)
    return with_and_without(scan, torch.randn(1, 16 * 16 * 64, 24), (16, 16, 64), gradients=gradients)


@row("kernel-scan", "four directional scans of 16 x 16 x 64 voxels, 24 channels, 16 states", PLAIN)
def scan_forward() -> Ratio:
    """Without gradients."""
    return directional_scan(False)


@row("kernel-scan-learning", "the same scans with gradients", PLAIN)
def scan_and_backward() -> Ratio:
    """With gradients."""
    return directional_scan(True)


@row("kernel-attention", "a shifted block of IsoVEM on 8 x 16 x 128 tokens, 40 channels", PLAIN)
def window_attention() -> Ratio:
    """With its MLP, which has no kernel."""
    import torch

    from vemrecon.nets.window_block import WindowBlock

    torch.manual_seed(0)
    block = WindowBlock(40, (2, 2, 16), (1, 1, 8), 4, mutual=True).eval()
    return with_and_without(block, torch.randn(1, 8, 16, 128, 40))


@row("kernel-isovem", "published IsoVEM on 4 frames of 16 x 128", PLAIN)
def isovem() -> Ratio:
    """With its upsampler, which has no kernel."""
    import torch

    from vemrecon.methods.isovem.network import IsoVEMNet

    torch.manual_seed(0)
    return with_and_without(IsoVEMNet(8).eval(), torch.rand(1, 4, 1, 16, 128), 8.0)


@row("kernel-vemamba", "VEMamba of published width, four blocks, on 16 frames of 16 x 64", PLAIN)
def vemamba() -> Ratio:
    """Without its encoder."""
    import torch

    from vemrecon.methods.vemamba.network import VEMambaNet

    torch.manual_seed(0)
    return with_and_without(VEMambaNet(8, depths=(1, 1, 1, 1), embedding=None), torch.rand(1, 1, 16, 16, 64))


@row("kernel-ssim", "SSIM in three planes and of the volume, of a tile of 48^3 with its margin", PLAIN)
def similarity_of_a_tile() -> Ratio:
    """As scoring shows tiles to the metric."""
    import torch

    from vemrecon.compiled import without_kernels
    from vemrecon.metrics.ssim import StructuralSimilarity
    from vemrecon.metrics.tiles import TilePair
    from vemrecon.volume.region import Region

    whole = Region.whole((58, 58, 58))
    a, b = torch.randint(0, 256, (2, *whole.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tile = TilePair(a, b, whole, Region((5, 5, 5), (53, 53, 53)))
    tiles = 8

    def run() -> Tensor:
        metric = StructuralSimilarity([whole])
        for _ in range(tiles):
            metric.update(tile)
        return torch.cat([getattr(metric, f"{plane}_0")[0].flatten() for plane in ("xy", "xz", "yz", "volume")])

    def plain() -> Tensor:
        with without_kernels():
            return run()

    gap = ((run() - plain()).abs() / plain().abs().clamp_min(1)).max().item()
    return Ratio(*in_turns(run, plain), f"{gap:.0e}")
