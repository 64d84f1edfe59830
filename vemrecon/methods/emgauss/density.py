"""Densification: Gaussians with large gradients are copied or split, invisible ones removed, below a cap.

Source: 3DGS (Kerbl et al., SIGGRAPH 2023), without its resets of opacities and without pruning by size: a reset would
meet the first teacher, and in a plane nothing floats before the camera. What is dark at one time may be seen at
another, so a Gaussian is removed only if it is dark in all observed sections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vemrecon.methods.emgauss.canonical import Canonical

FIRST, EVERY = 500, 100  # steps
THRESHOLD = 2e-4  # gradient of the loss by a position in units of half a side
SMALL = 0.01  # of the side: smaller Gaussians are copied, larger ones split
SHRINK = 1.6  # of the halves of a split one
INVISIBLE = 0.005  # opacity


@dataclass
class Gradients:
    """Sums over steps of how strongly the loss pulls at every Gaussian that a step has seen."""

    total: Tensor
    seen: Tensor

    @classmethod
    def of(cls, canonical: Canonical) -> Gradients:
        """Nothing seen yet."""
        return cls(canonical.means.new_zeros(len(canonical)), canonical.means.new_zeros(len(canonical)))

    def add(self, canonical: Canonical) -> None:
        """Count the gradients that the positions have now."""
        if canonical.means.grad is not None:
            pull = canonical.means.grad.norm(dim=1) * (canonical.side / 2)
            self.total += pull
            self.seen += pull > 0

    @property
    def mean(self) -> Tensor:
        """Shape (n,)."""
        return self.total / self.seen.clamp_min(1)


@torch.no_grad()
def densify(
    canonical: Canonical,
    optimizer: torch.optim.Optimizer,
    gradients: Gradients,
    brightest: Tensor,
    cap: int,
    generator: torch.Generator,
) -> None:
    """Copy, split and remove Gaussians in place; new ones are appended, that is, put behind.

    Args:
        canonical: The Gaussians.
        optimizer: Theirs; its state is kept for survivors and zero for new ones.
        gradients: Since the last time.
        brightest: Largest opacity of each over the observed sections, shape (n,).
        cap: Most Gaussians there may be; the largest gradients come first.
        generator: Of the positions of split ones, on the CPU.
    """
    visible = brightest >= INVISIBLE
    strength = torch.where(visible, gradients.mean, 0.0)
    room = max(0, cap - int(visible.sum()))
    order = strength.argsort(descending=True, stable=True)[:room]
    chosen = order[strength[order] > THRESHOLD].sort().values
    scales = canonical.scales[chosen].exp()
    split = scales.amax(dim=1) > SMALL * canonical.side
    index = torch.cat([visible.nonzero()[:, 0], chosen])
    old = int(visible.sum())
    # both halves of a split Gaussian, one in its place and one behind
    halves = torch.cat([(visible.cumsum(0) - 1)[chosen[split]], old + split.nonzero()[:, 0]])
    new = torch.arange(len(index), device=index.device) >= old
    new[halves] = True
    _take(canonical, optimizer, index, new)
    spread = canonical.scales[halves].exp()
    offset = torch.randn(spread.shape, generator=generator).to(spread) * spread
    c, s = canonical.rotations[halves].cos(), canonical.rotations[halves].sin()
    turned = torch.stack([c * offset[:, 0] - s * offset[:, 1], s * offset[:, 0] + c * offset[:, 1]], dim=1)
    canonical.means[halves] += turned
    canonical.scales[halves] -= math.log(SHRINK)


def _take(canonical: Canonical, optimizer: torch.optim.Optimizer, index: Tensor, new: Tensor) -> None:
    """Make the rows of every parameter those of an index, with the state of the optimizer, which is 0 for new ones."""
    for name, old in list(canonical.named_parameters()):
        parameter = nn.Parameter(old.detach()[index].clone())
        setattr(canonical, name, parameter)
        for group in optimizer.param_groups:
            group["params"] = [parameter if p is old else p for p in group["params"]]
        state = optimizer.state.pop(old, None)
        if state is not None:
            for key, value in state.items():
                if value.shape == old.shape:
                    state[key] = value[index]
                    state[key][new] = 0
            optimizer.state[parameter] = state
