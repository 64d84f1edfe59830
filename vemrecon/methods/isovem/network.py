"""The network of IsoVEM: a U-shaped video transformer that super-resolves the rows of every frame.

Paper: He et al. 2023, "IsoVEM: Isotropic Reconstruction for Volume Electron Microscopy Based on Transformer",
doi:10.1101/2023.11.22.567807, network architecture. The released code is GPL-3.0 and was not copied: this is written
from a description of what it computes, and reads its weights (`released`).
Changed: rows may be placed by the nominal scale, so that tiles register; frames are convolved in groups where no
gradient is wanted; invalid sizes are refused with a reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vemrecon.errors import ConfigError, DataError
from vemrecon.methods.isovem.resampling import (
    ExpandPatches,
    MergePatches,
    Upsampler,
    resize_rows,
    shuffle_factor,
)
from vemrecon.methods.isovem.stages import BodyStage, Group
from vemrecon.nets.windows import Size3

STAGES = 7  # one at full resolution, three down, three up
COARSEST = 8  # rows and columns of the input per row and column of the coarsest stage
MIN_FRAMES = 2
CONVOLVED_VOXELS = {"cpu": 2**14, "cuda": 2**18}
"""Output voxels convolved at once without gradient: 4 and 64 MiB per feature stack, near the cache of a processor."""

DEFAULT_WIDTHS = (40,) * STAGES + (60,) * 6
DEFAULT_DEPTHS = (4,) * STAGES + (2,) * 6


class IsoVEMNet(nn.Module):
    """Video transformer; the arguments are those of the published configuration. Frames are `(rows, columns)`.

    Args:
        upscale: Scale that it is trained for; only decides the row shuffle (8 rows for 5.7 to 11.3).
        in_chans: Channels of a frame.
        out_chans: Channels of a reconstructed frame.
        window_size: Window (frames, rows, columns).
        embed_dims: Width of each of the seven stages and of each self-attention group.
        depths: Blocks of each.
        num_heads: Heads of each; one number for all.
        mul_attn_ratio: Share of a stage's blocks with mutual attention.
        mlp_ratio: Hidden width of the MLPs over the width.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the queries, None for `(channels / heads) ** -0.5`.
        drop_path_rate: Stochastic depth of the last block; rises linearly from 0.
        indep_reconsts: Groups (counted with the stages from 0) that treat every frame by itself.
        checkpointing: Recompute activations in the backward pass; saves memory, costs about a third more time.
        features: Feature maps of the upsampler; most of the time goes into them.

    Raises:
        ConfigError: If the lists do not fit together.
    """

    def __init__(
        self,
        upscale: float = 8,
        in_chans: int = 1,
        out_chans: int = 1,
        window_size: Sequence[int] = (2, 2, 16),
        embed_dims: Sequence[int] = DEFAULT_WIDTHS,
        depths: Sequence[int] = DEFAULT_DEPTHS,
        num_heads: Sequence[int] | int = 4,
        mul_attn_ratio: float = 0.75,
        mlp_ratio: float = 2.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_path_rate: float = 0.2,
        indep_reconsts: Sequence[int] = (11, 12),
        checkpointing: bool = False,
        features: int = 64,
    ) -> None:
        super().__init__()
        heads = [num_heads] * len(depths) if isinstance(num_heads, int) else list(num_heads)
        if not len(embed_dims) == len(depths) == len(heads) > STAGES or len(window_size) != 3:
            raise ConfigError(
                f"IsoVEM: embed_dims ({len(embed_dims)}), depths ({len(depths)}) and num_heads ({len(heads)}) need one "
                f"entry for each of the {STAGES} stages and of at least one group; window_size needs three"
            )
        if in_chans not in (1, out_chans):
            raise ConfigError(f"IsoVEM: in_chans ({in_chans}) must be 1 or equal out_chans ({out_chans})")
        d, h, w = window_size
        self.window: Size3 = (d, h, w)
        self.in_chans = in_chans
        rates = torch.linspace(0, drop_path_rate, sum(depths), dtype=torch.float64).tolist()
        ends = list(itertools.accumulate(depths, initial=0))
        options = {
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "qk_scale": qk_scale,
            "checkpointing": checkpointing,
        }
        self.first = nn.Conv2d(in_chans, embed_dims[0], 3, padding=1)
        self.stages = nn.ModuleList(
            BodyStage(
                self._resample(i, embed_dims),
                embed_dims[i],
                depths[i],
                self.window,
                heads[i],
                rates[ends[i] : ends[i + 1]],
                mul_attn_ratio,
                **options,
            )
            for i in range(STAGES)
        )
        width = embed_dims[STAGES]
        self.widen = nn.Sequential(nn.LayerNorm(embed_dims[STAGES - 1]), nn.Linear(embed_dims[STAGES - 1], width))
        self.groups = nn.ModuleList(
            Group(
                embed_dims[i],
                depths[i],
                (1, h, w) if i in indep_reconsts else self.window,
                heads[i],
                rates[ends[i] : ends[i + 1]],
                **options,
            )
            for i in range(STAGES, len(depths))
        )
        self.norm = nn.LayerNorm(embed_dims[-1])
        self.narrow = nn.Linear(embed_dims[-1], embed_dims[0])
        self.upsampler = Upsampler(embed_dims[0], shuffle_factor(upscale), out_chans, features)

    @staticmethod
    def _resample(i: int, widths: Sequence[int]) -> nn.Module:
        """First step of stage i (from 0)."""
        if i == 0:
            return nn.LayerNorm(widths[0])
        return (MergePatches if i <= STAGES // 2 else ExpandPatches)(widths[i - 1], widths[i])

    def smallest(self) -> Size3:
        """Least frames, rows and columns of an input; rows and columns must also be multiples of 8."""
        return MIN_FRAMES, COARSEST * self.window[1], COARSEST * self.window[2]

    def check(self, video: Tensor) -> None:
        """Refuse an input that the network is not defined for.

        Raises:
            DataError: If a side is too short or not a multiple of 8.
        """
        b, d, c, h, w = video.shape if video.dim() == 5 else (0,) * 5
        frames, rows, columns = self.smallest()
        if not b or c != self.in_chans or d < frames or h < rows or w < columns or h % COARSEST or w % COARSEST:
            raise DataError(
                f"IsoVEM with window {self.window} needs input (batch, frames >= {frames}, {self.in_chans}, "
                f"rows >= {rows}, columns >= {columns}), rows and columns multiples of {COARSEST}, "
                f"got {tuple(video.shape)}; reconstruct_any_size pads"
            )

    def body(self, x: Tensor) -> Tensor:
        """Stages and groups; (b, d, h, w, c) to the same shape."""
        one, two, three, four, five, six, seven = self.stages
        x1 = one(x)
        x2 = two(x1)
        x3 = three(x2)
        x = five(four(x3))
        x = six(x + x3)
        x = seven(x + x2) + x1
        x = self.widen(x)
        for group in self.groups:
            x = group(x)
        return self.narrow(self.norm(x))

    def forward(self, video: Tensor, scale: float, rows: int | None = None) -> Tensor:
        """Super-resolve the rows of every frame.

        Args:
            video: Shape (batch, frames, channels, rows, columns), grey levels in [0, 1], never normalised.
            scale: Any positive number; 1 fills blanked frames.
            rows: Rows wanted, output row i then lying at `(i + 0.5) / scale - 0.5` input rows, as for slab means. None
                for the published placement: `int(rows * scale)` rows, to which the frame is stretched. Both are the
                same where `rows * scale` is whole.

        Returns:
            Shape (batch, frames, out channels, rows wanted, columns), not clamped.

        Raises:
            DataError: If a side is too short or not a multiple of 8.
        """
        self.check(video)
        b, d, _, h, w = video.shape
        step = None if rows is None else 1 / scale
        rows = int(h * scale) if rows is None else rows
        frames = video.flatten(0, 1)  # (b*d, 1, h, w)
        x = self.first(frames).permute(0, 2, 3, 1).unflatten(0, (b, d))  # (b, d, h, w, c)
        features = (x + self.body(x)).flatten(0, 1).permute(0, 3, 1, 2)  # (b*d, c, h, w), channels last in memory
        at_once = b * d
        if not torch.is_grad_enabled():
            at_once = max(
                1, CONVOLVED_VOXELS.get(video.device.type, 2**18) // (max(h * self.upsampler.factor, rows) * w)
            )
        terms = [self.upsampler(part, rows, step) for part in features.split(at_once)]
        return (torch.cat(terms) + resize_rows(frames, rows, step)).unflatten(0, (b, d))
