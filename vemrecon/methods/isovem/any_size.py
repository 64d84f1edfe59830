"""IsoVEM on inputs of any size: mirrored at the ends up to a size that the network takes, and cropped again."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vemrecon.methods.isovem.network import COARSEST, IsoVEMNet
from vemrecon.nets.windows import Size3


def valid_size(net: IsoVEMNet, size: Size3) -> Size3:
    """Least frames, rows and columns that hold `size` and that the network takes."""
    frames, rows, columns = (max(n, least) for n, least in zip(size, net.smallest(), strict=True))
    return frames, math.ceil(rows / COARSEST) * COARSEST, math.ceil(columns / COARSEST) * COARSEST


def mirror_to(x: Tensor, axis: int, length: int) -> Tensor:
    """Continue an axis at its end by reflection, without repeating the edge, as often as needed.

    >>> mirror_to(torch.tensor([0, 1, 2]), 0, 8).tolist()
    [0, 1, 2, 1, 0, 1, 2, 1]
    """
    n = x.shape[axis]
    if length == n:
        return x
    period = max(2 * n - 2, 1)
    at = torch.arange(length, device=x.device) % period
    return x.index_select(axis, torch.minimum(at, period - at) if n > 1 else at)


def reconstruct_any_size(net: IsoVEMNet, video: Tensor, scale: float, rows: int | None = None) -> Tensor:
    """`net(video, scale, rows)` for any numbers of frames, rows and columns.

    Args:
        net: Network.
        video: Shape (b, frames, 1, rows, columns), in [0, 1].
        scale: Any positive number.
        rows: Rows wanted, see `IsoVEMNet.forward`; None for `int(rows * scale)`.

    Returns:
        Shape (b, frames, 1, rows wanted, columns), not clamped. Where rows had to be added, output rows are placed by
        the nominal scale.
    """
    frames, h, w = video.shape[1], video.shape[3], video.shape[4]
    size = valid_size(net, (frames, h, w))
    if size[1] != h:
        rows = int(h * scale) if rows is None else rows
    for axis, length in zip((1, 3, 4), size, strict=True):
        video = mirror_to(video, axis, length)
    return net(video, scale, rows)[:, :frames, ..., :w]
