"""One iteration of CycleGAN-IR: losses of the generators and of the critics, and the order of their updates.

Least-squares adversarial losses on the score of a whole section, L1 cycles, no identity loss. The released code
back-propagates the generators' loss twice, which Adam cancels up to its epsilon; once is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

ADVERSARIAL, CYCLE = 0.01, 5.0
Pools = Mapping[str, Callable[[Tensor], Tensor]]


class Steps(Protocol):
    """What an iteration asks of an optimizer."""

    def zero_grad(self) -> None:
        """Forget gradients."""

    def step(self) -> object:
        """Update."""


@dataclass(frozen=True)
class Networks:
    """All four; `recover` makes lateral-like sections of axial ones, `degrade` the other way round."""

    recover: Callable[[Tensor], Tensor]
    degrade: Callable[[Tensor], Tensor]
    lateral_critic: nn.Module
    axial_critic: nn.Module


def generator_losses(nets: Networks, lateral: Tensor, axial: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weighted sum `loss` of the named terms, and the fakes `lateral` and `axial`.

    Args:
        nets: The networks.
        lateral: Recorded lateral sections (b, 1, h, w) in [-1, 1].
        axial: Recorded axial sections (b, 1, h / scale, w) in [-1, 1], of other places.
    """
    fakes = {"axial": nets.degrade(lateral), "lateral": nets.recover(axial)}
    terms = {
        "adversarial axial": (nets.axial_critic(fakes["axial"]) - 1).square().mean(),
        "adversarial lateral": (nets.lateral_critic(fakes["lateral"]) - 1).square().mean(),
        "cycle lateral": F.l1_loss(nets.recover(fakes["axial"]), lateral),
        "cycle axial": F.l1_loss(nets.degrade(fakes["lateral"]), axial),
    }
    adversarial = terms["adversarial axial"] + terms["adversarial lateral"]
    cycle = terms["cycle lateral"] + terms["cycle axial"]
    return {"loss": ADVERSARIAL * adversarial + CYCLE * cycle, **terms}, fakes


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """`mean((D(real) - 1)^2) + mean(D(fake)^2)`, not halved."""
    loss: Tensor = (critic(real) - 1).square().mean() + critic(fake).square().mean()
    return loss


def iterate(
    nets: Networks,
    generators: Steps,
    critics: Steps,
    pools: Pools,
    lateral: Tensor,
    axial: Tensor,
    backward: Callable[[Tensor], object],
) -> dict[str, Tensor]:
    """Update the generators, then the critics on fakes from before that update.

    Both critics share one optimizer and one backward pass: their losses have no parameter in common.

    Args:
        nets: The networks.
        generators: Optimizer of both generators.
        critics: Optimizer of both critics.
        pools: Maps the newest fakes, `lateral` and `axial`, to those that the critics see.
        lateral: Recorded lateral sections in [-1, 1].
        axial: Recorded axial sections in [-1, 1].
        backward: Back-propagates a loss.

    Returns:
        The generators' `loss`, its terms, and the loss of either critic, detached.
    """
    with resting(nets.lateral_critic, nets.axial_critic):
        losses, fakes = generator_losses(nets, lateral, axial)
        generators.zero_grad()
        backward(losses["loss"])
    generators.step()
    shown = {name: pools[name](fakes[name].detach()) for name in ("axial", "lateral")}
    losses["critic axial"] = critic_loss(nets.axial_critic, axial, shown["axial"])
    losses["critic lateral"] = critic_loss(nets.lateral_critic, lateral, shown["lateral"])
    critics.zero_grad()
    backward(losses["critic axial"] + losses["critic lateral"])
    critics.step()
    return {name: value.detach() for name, value in losses.items()}


@contextmanager
def resting(*modules: nn.Module) -> Iterator[None]:
    """Modules pass gradients on without collecting any themselves."""
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
