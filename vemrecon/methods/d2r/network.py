"""AENet and DGEAN: the section at any depth between the second and the third of four.

Both belong to D2R; DGEAN adds position codes, a gated stem, ReLU in the decoder and a deconvolved image below the
output. Neither was released: `backbone`, `codes` and `base_image` say what is stated and what is our reading.
Parameters: 42 078 593 and 42 085 057.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vemrecon.errors import unknown
from vemrecon.methods.d2r.backbone import SECTIONS, WIDTHS, Activation, Backbone, leaky_relu
from vemrecon.methods.d2r.base_image import Base, linear_blend, richardson_lucy
from vemrecon.methods.d2r.codes import DepthCode, FourierPositions, LearntPositions

DepthMode = Literal["features", "plane", "none"]
"""How the depth enters: codes for every encoder, a second input plane of this value, or not at all."""
PositionMode = Literal["learnt", "fourier", "none"]


class AENet(nn.Module):
    """Interpolation network conditioned on relative depth.

    Args:
        widths: Channels, see `Encoder`.
        depth_mode: See `DepthMode`.
        base: What the output is added to: `mean` of the sections, `linear` blend, `rl` (its deconvolution), `tconv` (a
            learnt transposed convolution).
        position_mode: Codes of the four places (DGEAN).
        stem_gate: See `Encoder`.
        activation: Of the decoder.

    Raises:
        ConfigError: If a mode is unknown.
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        *,
        depth_mode: DepthMode = "features",
        base: Base = "mean",
        position_mode: PositionMode = "none",
        stem_gate: bool = False,
        activation: Activation = leaky_relu,
    ) -> None:
        super().__init__()
        for what, given, known in (
            ("depth_mode", depth_mode, get_args(DepthMode)),
            ("position_mode", position_mode, get_args(PositionMode)),
            ("base", base, get_args(Base)),
        ):
            if given not in known:
                raise unknown(what, given, known)
        self.depth_mode, self.base = depth_mode, base
        planes = 2 if depth_mode == "plane" else 1
        self.backbone = Backbone(tuple(widths), planes=planes, stem_gate=stem_gate, activation=activation)
        channels = self.backbone.encoder.inputs
        self.depth_code = DepthCode(channels) if depth_mode == "features" else None
        self.positions: LearntPositions | FourierPositions | None = None
        if position_mode != "none":
            self.positions = (LearntPositions if position_mode == "learnt" else FourierPositions)(channels)
        self.blend = nn.ConvTranspose2d(SECTIONS, 1, 3, padding=1) if base == "tconv" else None

    def forward(self, sections: Tensor, depth: Tensor) -> Tensor:
        """The section at a depth.

        Args:
            sections: Shape (b, 1, 4, y, x), in [0, 1]; y and x are multiples of 8.
            depth: Shape (b,), 0 at the second section and 1 at the third.

        Returns:
            Shape (b, 1, y, x), not clipped.
        """
        mean = sections.mean(dim=(2, 3, 4), keepdim=True)
        free = sections - mean
        if self.depth_mode == "plane":
            free = torch.cat([free, depth.to(free)[:, None, None, None, None].expand_as(free)], dim=1)
        return self.backbone(free, self.codes(depth.to(free))) + self.base_image(sections, depth, mean[:, :, 0])

    def codes(self, depth: Tensor) -> list[Tensor | None]:
        """What is added to the stem and to the inputs of the four layers."""
        depths = [None] * 5 if self.depth_code is None else self.depth_code(depth)
        places = [None] * 5 if self.positions is None else self.positions()
        return [
            place if code is None else code if place is None else code + place
            for code, place in zip(depths, places, strict=True)
        ]

    def base_image(self, sections: Tensor, depth: Tensor, mean: Tensor) -> Tensor:
        """What the output is added to, broadcast to (b, 1, y, x)."""
        if self.base == "mean":
            return mean
        if self.blend is not None:
            return self.blend(sections[:, 0])
        linear = linear_blend(sections, depth)
        return linear if self.base == "linear" else richardson_lucy(linear)


class DGEAN(AENet):
    """AENet with position codes, a gated stem, ReLU in the decoder, and Richardson-Lucy below the output."""

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        *,
        depth_mode: DepthMode = "features",
        base: Base = "rl",
        position_mode: PositionMode = "learnt",
    ) -> None:
        super().__init__(
            widths,
            depth_mode=depth_mode,
            base=base,
            position_mode=position_mode,
            stem_gate=True,
            activation=F.relu,
        )
