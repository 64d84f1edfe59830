"""Sections rendered tile by tile in plain torch: differentiable, on any device, with memory that is bounded by chunks.

The logarithm of every sample is a quadratic polynomial of the pixel coordinates, so that all exponents of a tile are
one product of a matrix of coefficients with one of monomials, and their gradients the transposed one. Coordinates are
relative to the centre of the tile, which keeps float32 exact to 2e-5. Front to back, the light that passes Gaussian i
is T_i - T_{i+1} of the transmittances, hence the section is the first grey value plus the sum of T_{i+1} times the next
grey value minus this one: one cumulative product and one matrix product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vemrecon.errors import ConfigError
from vemrecon.methods.emgauss.bins import bin_splats
from vemrecon.methods.emgauss.splats import MOST_OPAQUE, Splats, check_mode, conics_of

TILE = 8  # pixels; 16 waste 1.5 to 2 times as much arithmetic outside the Gaussians
CHUNK = {"cpu": 1 << 18, "cuda": 1 << 24}  # samples at once: about the cache of a core, and 64 MiB
DEPTH = 8  # Gaussians of a tile are padded to a multiple of it
NOTHING = -1e4  # logarithm of an opacity that is 0 in every type


def render_tiled(
    splats: Splats,
    background: Tensor,
    size: tuple[int, int],
    *,
    mode: str = "alpha",
    eps2d: float = 0.02,
    cut: float = 1 / 255,
    stop: float = 0.0,
    tile: int = TILE,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Render one section; arguments and results as those of `render_dense`.

    Args:
        splats: Gaussians.
        background: Shape (c,).
        size: Rows and columns.
        mode: `alpha` or `additive`.
        eps2d: In square pixels.
        cut: Above 0.
        stop: See `render_dense`.
        tile: Pixels along a side of a tile.
        chunk: Samples at once; None for the default of the device. Changes memory and time, results only by rounding.

    Raises:
        ConfigError: If the mode is unknown or the cut is 0.
    """
    check_mode(mode)
    if cut <= 0:
        raise ConfigError(f"EMGauss: Gaussians are sorted into tiles by a cut, which must be above 0, not {cut:g}")
    rows, columns = (-(-n // tile) for n in size)
    covariances = splats.covariances(eps2d)
    bins = bin_splats(splats.means, covariances, splats.opacities, (rows, columns), tile, cut)
    table = _table(splats, conics_of(covariances))
    monomials, centres = _monomials(tile, background), _centres(rows, columns, tile, background)
    budget = (chunk or CHUNK.get(background.device.type, CHUNK["cpu"])) // tile**2
    order = torch.argsort(bins.counts, descending=True, stable=True)
    counts = bins.counts[order].tolist()
    parts, first = [], 0
    while first < len(counts):
        depth = -(-counts[first] // DEPTH) * DEPTH
        last = first + max(1, budget // max(depth, 1))
        chosen = order[first:last]
        place = torch.arange(depth, device=chosen.device)
        here = place < bins.counts[chosen, None]
        at = (bins.starts[chosen, None] + place).clamp(max=max(len(bins.owners) - 1, 0))
        indices = torch.where(here, bins.owners[at] if len(bins.owners) else at, len(splats))  # (tiles, depth)
        members = table.index_select(0, indices.flatten()).unflatten(0, indices.shape)
        samples = _coefficients(members, centres[chosen]) @ monomials  # (tiles, depth, pixels)
        parts.append(_blend(samples.exp(), members[..., 6:], background, mode, cut, stop))
        first = last
    found = torch.cat(parts).index_select(0, torch.argsort(order))  # (tiles, c + 1, pixels)
    whole = found.view(rows, columns, -1, tile, tile).permute(2, 0, 3, 1, 4).reshape(-1, rows * tile, columns * tile)
    return whole[:-1, : size[0], : size[1]], whole[-1, : size[0], : size[1]]


def _table(splats: Splats, conics: Tensor) -> Tensor:
    """All of a Gaussian in one row: mean, conic, logarithm of the opacity, grey values. Last, one that is nothing."""
    rows = torch.cat([splats.means, conics, splats.opacities.log()[:, None], splats.greys], dim=1)
    nothing = torch.zeros_like(rows[:1]) if len(rows) else rows.new_zeros(1, rows.shape[1])
    nothing[0, 5] = NOTHING
    return torch.cat([rows, nothing])


def _monomials(tile: int, like: Tensor) -> Tensor:
    """1, x, y, x^2, x y, y^2 at the pixels of a tile, counted from its centre; shape (6, pixels)."""
    at = torch.arange(tile, dtype=like.dtype, device=like.device) + 0.5 - tile / 2
    y, x = (grid.flatten() for grid in torch.meshgrid(at, at, indexing="ij"))
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])


def _centres(rows: int, columns: int, tile: int, like: Tensor) -> Tensor:
    """Centres (x, y) of all tiles in pixels, shape (tiles, 2)."""
    number = torch.arange(rows * columns, device=like.device)
    at = torch.stack([number % columns, torch.div(number, columns, rounding_mode="floor")], dim=1)
    return (at.to(like.dtype) + 0.5) * tile


def _coefficients(members: Tensor, centres: Tensor) -> Tensor:
    """Of the logarithms of samples, for the Gaussians of some tiles: (tiles, depth, 6 + c) to (tiles, depth, 6)."""
    x, y = (members[..., :2] - centres[:, None]).unbind(-1)
    a, b, c, opacity = members[..., 2:6].unbind(-1)
    by_x, by_y = a * x + b * y, b * x + c * y
    return torch.stack([opacity - (by_x * x + by_y * y) / 2, by_x, by_y, -a / 2, -b, -c / 2], dim=-1)


def _blend(samples: Tensor, greys: Tensor, background: Tensor, mode: str, cut: float, stop: float) -> Tensor:
    """Grey values and, as the last row, the accumulated opacity of some tiles; shape (tiles, c + 1, pixels)."""
    samples = F.threshold(samples, cut, 0.0)
    colours = greys.transpose(1, 2)  # (tiles, c, depth)
    if mode == "additive":
        return torch.cat([background[:, None] + colours @ samples, samples.sum(dim=1, keepdim=True)], dim=1)
    passed = 1 - samples.clamp(max=MOST_OPAQUE)
    if stop:
        passed = torch.where(torch.cumprod(passed.detach(), dim=1) > stop, passed, 1.0)
    last = background[None, :, None].expand(len(greys), -1, 1)
    colours = torch.cat([colours, last], dim=2)
    transmittance = torch.cumprod(passed, dim=1)
    section = colours[..., :1] + (colours[..., 1:] - colours[..., :-1]) @ transmittance
    left = transmittance[:, -1:] if transmittance.shape[1] else torch.ones_like(section[:, :1])
    return torch.cat([section, 1 - left], dim=1)
