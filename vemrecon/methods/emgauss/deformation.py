"""How Gaussians change with time: a small network of position and time, or, without a network, key frames.

Source of the network: Deformable 3D Gaussians (Yang et al., CVPR 2024), in a plane and with deltas of scales and
opacities added before the exponential and the sigmoid. Key frames are ours and no part of EMGauss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vemrecon.errors import unknown
from vemrecon.methods.emgauss.canonical import Canonical, Deltas
from vemrecon.volume import SectionGrid

DELTAS = {"position": 2, "scale": 2, "opacity": 1, "rotation": 1}
"""What may change with time, and how many numbers each takes."""


def time_frequencies(sections: int) -> int:
    """Frequencies of the time code for a number of observed sections: at most about one radian from one to the next.

    >>> [time_frequencies(n) for n in (1, 2, 3, 9, 10, 17)]
    [1, 1, 2, 4, 4, 5]
    """
    return 1 + int(math.log2(max(1, sections - 1)))


def code(x: Tensor, frequencies: int) -> Tensor:
    """Values, and sines and cosines of them times 1, 2, 4, ...; shape (..., d) to (..., d (1 + 2 frequencies))."""
    angles = x[..., None] * 2.0 ** torch.arange(frequencies, dtype=x.dtype, device=x.device)
    return torch.cat([x[..., None], angles.sin(), angles.cos()], dim=-1).flatten(-2)


class DeformationNetwork(nn.Module):
    """Maps the position of a Gaussian and a time to what changes.

    The heads start at zero, so that learning goes on where the Gaussians alone ended.

    Args:
        depth: Hidden layers.
        width: Of each.
        space_frequencies: Of the code of positions.
        time_frequencies: Of the code of times.
        deltas: Names of what changes.
        reach: Pixels per unit of the position head.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        space_frequencies: int,
        time_frequencies: int,
        deltas: Sequence[str],
        reach: float,
    ) -> None:
        super().__init__()
        for name in deltas:
            if name not in DELTAS:
                raise unknown("EMGauss delta", name, DELTAS)
        self.space_frequencies, self.time_frequencies, self.reach = space_frequencies, time_frequencies, reach
        self.deltas = tuple(deltas)
        inputs = 2 * (1 + 2 * space_frequencies) + 1 + 2 * time_frequencies
        self.again = depth // 2  # after this layer the input is seen once more
        widths = [inputs] + [width + inputs * (i == self.again) for i in range(depth - 1)]
        self.layers = nn.ModuleList(nn.Linear(w, width) for w in widths)
        self.heads = nn.Linear(width, sum(DELTAS[name] for name in self.deltas))
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)

    def forward(self, canonical: Canonical, time: float) -> Deltas:
        """Deltas of all Gaussians at a time in [0, 1]; no gradient reaches their positions."""
        places = code(2 * canonical.means.detach() / canonical.side - 1, self.space_frequencies)
        moment = code(places.new_tensor([time]), self.time_frequencies)
        x = inputs = torch.cat([places, moment.expand(len(places), -1)], dim=1)
        for number, layer in enumerate(self.layers):
            x = torch.relu(layer(x))
            if number == self.again and number + 1 < len(self.layers):
                x = torch.cat([x, inputs], dim=1)
        found = self.heads(x).split([DELTAS[name] for name in self.deltas], dim=1)
        parts = dict(zip(self.deltas, found, strict=True))
        return Deltas(
            means=parts["position"] * self.reach if "position" in parts else 0.0,
            scales=parts.get("scale", 0.0),
            opacities=parts["opacity"][:, 0] if "opacity" in parts else 0.0,
            rotations=parts["rotation"][:, 0] if "rotation" in parts else 0.0,
        )


class KeyFrames(nn.Module):
    """Logits of opacities at the times of the observed sections, linear in between, constant before and after.

    They are parameters of the Gaussians themselves.

    Args:
        grid: Where the sections lie, see `Bundle`.
    """

    def __init__(self, grid: SectionGrid) -> None:
        super().__init__()
        self.thick = grid.thickness / grid.scale

    def forward(self, canonical: Canonical, time: float) -> Deltas:
        """Deltas of all Gaussians at a time in [0, 1]."""
        last = canonical.frames.shape[1] - 1
        at = time * (last + self.thick) - self.thick / 2
        at = min(max(at, 0.0), float(last))
        first = min(int(at), max(last - 1, 0))
        frames = canonical.frames[:, first : first + 2]
        return Deltas(opacities=torch.lerp(frames[:, 0], frames[:, -1], at - first))
