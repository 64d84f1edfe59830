"""`Applied`: a method that is applied otherwise than it is by itself: in eight orientations, in bfloat16, blended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from vemrecon.methods.base import Method, Tile
from vemrecon.methods.eightfold import ALL, eightfold_of, rotate, turned_start
from vemrecon.methods.short_floats import require_bfloat16, short_floats
from vemrecon.methods.stage import Stage


class Applied(Method):
    """A method that is ready to reconstruct, and how it is applied to tiles.

    Args:
        method: In evaluation mode, on its device.
        rotations: Whether to average over the eight rotations that keep the axial axis; over the four upright ones
            where the scale is not whole, as sections that are upside down then lie between voxels.
        short: Whether convolutions and matrix products compute in bfloat16; devices that do not are refused.
        blended: Whether tiles are fused linearly.
    """

    def __init__(self, method: Method, *, rotations: bool = False, short: bool = False, blended: bool = False) -> None:
        super().__init__()
        self.method, self.rotations, self.short = method, rotations, short
        self.seed = method.seed
        self.any_grid = method.any_grid  # type: ignore[misc]  # a wrapper is what it wraps
        self.fits_at_test = method.fits_at_test  # type: ignore[misc]
        z, y, x = method.tile.halo
        halo = (z + 1, max(y, x), max(y, x)) if rotations else (z, y, x)
        self.tile = replace(method.tile, halo=halo, blended=blended or method.tile.blended)

    def stages(self) -> tuple[Stage, ...]:
        """Those of the method."""
        return self.method.stages()

    @property
    def has_spread(self) -> bool:
        """Eight orientations have one."""
        return self.rotations or self.method.has_spread

    def reconstruct(self, tile: Tile) -> Tensor:
        """As asked for."""
        with self._precision(tile.observed.device):
            return self._turned(tile)[0] if self.rotations else self.method.reconstruct(tile)

    @property
    def continuous(self) -> bool:
        """Whether the method is, in one orientation."""
        return self.method.continuous and not self.rotations

    def sections_at(self, tile: Tile, positions: Sequence[float]) -> Tensor:
        """As asked for."""
        with self._precision(tile.observed.device):
            return self.method.sections_at(tile, positions)

    def reconstruct_with_spread(self, tile: Tile) -> tuple[Tensor, Tensor] | None:
        """That of the orientations, or else of the method."""
        with self._precision(tile.observed.device):
            return self._turned(tile) if self.rotations else self.method.reconstruct_with_spread(tile)

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        if self.short:
            require_bfloat16(device)  # that of a worker may be another one than was asked before
        return short_floats(device, self.short)

    def _turned(self, tile: Tile) -> tuple[Tensor, Tensor]:
        observed = tile.observed[0, 0]

        def made(index: int) -> Tensor:
            start = turned_start(tile.origin, observed.shape, index)
            turned = Tile(rotate(observed, index)[None, None].contiguous(), tile.grid, start, tile.turns)
            return self.method.reconstruct(turned)[0, 0].float()  # rows may be columns, so that all are kept

        whole = tile.scale.is_integer()
        rotations = [n for n in ALL if (whole or n < 4) and (tile.turns or n % 2 == 0)]
        mean, spread = eightfold_of(made, tile.grid, rotations)
        return mean[None, None], spread[None, None]
