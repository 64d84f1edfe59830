"""Axial-lateral chunking selective state-space module (ALCSSM) and its fusion of scan directions (DWAM).

Source: arXiv:2603.00887; what text and figures leave open follows the released code (MIT licence).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.errors import ConfigError
from vemrecon.nets.scan_compiled import kernel_fits, scan_rows
from vemrecon.nets.scan_orders import scan_maps, to_grid, to_sequences
from vemrecon.nets.selective_scan import scan_flops, selective_scan
from vemrecon.volume.region import Triple

AXIAL_TO_LATERAL = ("hWF", "WhF", "hWF-", "WhF-")
"""Orders of the first half of the channels: F, which the paper calls axial, is the fastest axis."""
LATERAL_TO_AXIAL = ("FhW", "FWh", "FhW-", "FWh-")
"""Orders of the second half."""
ONE_SCAN = ("FhW",)
"""Orders of all channels in the ablation without ALCSSM: one ordinary continuous scan."""

SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1  # initial dt, log-uniform


class DirectionalScan(nn.Module):
    """Selective scans of the same features in several orders, each with its own weights.

    Args:
        channels: Of the features.
        orders: Names of the scan orders.
        state: Numbers of state per channel.
        rank: Rank of the map from features to steps.
    """

    def __init__(self, channels: int, orders: tuple[str, ...], state: int, rank: int) -> None:
        super().__init__()
        self.orders, self.parts = orders, (rank, state, state)
        directions = len(orders)
        self.x_proj = nn.Parameter(torch.empty(directions, rank + 2 * state, channels))  # rows: steps, b, c
        self.dt_proj = nn.Parameter(torch.empty(directions, channels, rank))
        nn.init.uniform_(self.x_proj, -(channels**-0.5), channels**-0.5)
        nn.init.uniform_(self.dt_proj, -(rank**-0.5), rank**-0.5)
        span = math.log(LONGEST_STEP / SHORTEST_STEP)
        step = (torch.rand(directions, channels) * span).exp() * SHORTEST_STEP
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # softplus of it is the step
        rates = torch.arange(1, state + 1, dtype=torch.float32).log()
        self.a_log = nn.Parameter(rates.repeat(directions * channels, 1))  # direction-major
        self.skip = nn.Parameter(torch.ones(directions * channels))

    def forward(self, x: Tensor, grid: Triple) -> Tensor:
        """Scan features (b, F * h * W, c); result (b, F * h * W, orders, c), every direction back on the grid."""
        if kernel_fits(x):
            return self.scan_in_place(x, grid)
        u = to_sequences(x.transpose(1, 2), grid, self.orders)  # (b, k, c, l)
        raw, b, c = (self.x_proj @ u).split(self.parts, dim=2)  # (b, k, rank | n | n, l)
        delta = self.dt_proj @ raw  # (b, k, c, l)
        y, _ = selective_scan(
            u.flatten(1, 2),
            delta.flatten(1, 2),
            -self.a_log.exp(),
            b,
            c,
            self.skip,
            delta_bias=self.dt_bias.flatten(),
            softplus=True,
        )
        return to_grid(y.view_as(u), grid, self.orders).permute(0, 3, 1, 2)

    def scan_in_place(self, x: Tensor, grid: Triple) -> Tensor:
        """The same where a kernel visits voxels in any order: all else is done voxel by voxel, on the grid."""
        directions = len(self.orders)
        parts = F.linear(x, self.x_proj.flatten(0, 1)).unflatten(-1, (directions, -1))  # (b, l, k, rank + 2 n)
        raw, b, c = parts.split(self.parts, dim=-1)
        u = x.unsqueeze(2).expand(-1, -1, directions, -1)  # (b, l, k, c)
        weights = self.dt_proj.transpose(1, 2)  # (k, rank, c)
        delta = torch.baddbmm(self.dt_bias[:, None], raw.permute(2, 0, 1, 3).flatten(1, 2), weights)  # (k, b l, c)
        delta = delta.unflatten(1, x.shape[:2]).permute(1, 2, 0, 3)  # (b, l, k, c)
        rates = -self.a_log.exp().view(directions, -1, self.parts[-1]).transpose(1, 2)
        order, _ = scan_maps(grid, self.orders, x.device)
        return scan_rows(u, delta, rates, b, c, self.skip.view(directions, -1), order, softplus=True)[0]

    def uncounted_flops(self, x: Tensor, grid: Triple) -> int:
        """Operations of the recurrences, which are no matrix products."""
        return scan_flops(len(x), len(self.orders) * x.shape[2], x.shape[1], self.parts[-1])


class DirectionFusion(nn.Module):
    """Weighted sum over scan directions, one softmax weight per voxel and direction (DWAM).

    The paper writes a product of weights and features; that the weights pass a softmax and are shared by the channels
    is only visible in the code.
    """

    def __init__(self, channels: int, directions: int) -> None:
        super().__init__()
        hidden = 2 * channels
        self.mlp = nn.Sequential(nn.Linear(directions * channels, hidden), nn.ReLU(), nn.Linear(hidden, directions))

    def forward(self, restored: Tensor) -> Tensor:
        """Fuse (b, l, directions, c) to (b, l, c)."""
        weights = self.mlp(restored.flatten(2)).softmax(-1)  # (b, l, directions)
        return (weights[..., None] * restored).sum(2)


class PlainSum(nn.Module):
    """Sum over scan directions: the ablation without DWAM."""

    def forward(self, restored: Tensor) -> Tensor:
        """Fuse (b, l, directions, c) to (b, l, c)."""
        return restored.sum(2)


class VolumeMamba(nn.Module):
    """Gated Mamba branch over a volume.

    Args:
        width: Channels in and out.
        expansion: Inner channels over outer ones.
        state: Numbers of state per channel.
        alcssm: Eight scan orders in two channel halves; off means one order for all channels.
        dwam: Weighted fusion of the orders; off means their sum.

    Raises:
        ConfigError: If the inner channels cannot be halved.
    """

    def __init__(
        self, width: int, expansion: float = 1.5, state: int = 16, *, alcssm: bool = True, dwam: bool = True
    ) -> None:
        super().__init__()
        inner, rank = int(expansion * width), math.ceil(width / 16)
        if inner < 2 or inner % 2:
            raise ConfigError(
                f"VEMamba: expansion {expansion} of width {width} gives {inner} channels, expected an even number"
            )
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv3d(inner, inner, 3, padding=1, groups=inner)
        sets = (AXIAL_TO_LATERAL, LATERAL_TO_AXIAL) if alcssm else (ONE_SCAN,)
        self.chunk = inner // len(sets)
        self.scans = nn.ModuleList(DirectionalScan(self.chunk, orders, state, rank) for orders in sets)
        self.fusions = nn.ModuleList(
            DirectionFusion(self.chunk, len(orders)) if dwam and len(orders) > 1 else PlainSum() for orders in sets
        )
        self.norm = nn.LayerNorm(inner, eps=1e-5)
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, f: Tensor) -> Tensor:
        """Map features (b, F, h, W, c) to the same shape."""
        x, z = self.in_proj(f).chunk(2, dim=-1)
        x = F.silu(self.conv(x.movedim(-1, 1)).movedim(1, -1))  # channels stay neighbours, which is quick
        grid: Triple = (x.shape[1], x.shape[2], x.shape[3])
        chunks = x.flatten(1, 3).split(self.chunk, dim=-1)  # (b, l, c)
        parts = zip(self.scans, self.fusions, chunks, strict=True)
        y = torch.cat([fuse(scan(chunk, grid)) for scan, fuse, chunk in parts], dim=-1).unflatten(1, grid)
        return self.out_proj(self.norm(y) * F.silu(z))
