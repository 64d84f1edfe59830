"""A sampler that draws one volume from noise networks of its planes, and meets the observation in every step.

Source: DDIM (Song et al., ICLR 2021) with the null-space projection of DDNM (Wang et al., ICLR 2023). Averaging what is
found in xz and in yz planes inside the loop keeps one volume; averaged at the end, disagreements would be blurred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from vemrecon.methods.emdiffuse.diffusion import clean
from vemrecon.methods.emdiffuse.samplers import FIRST, Denoiser, Noise
from vemrecon.methods.emdiffuse.schedule import Schedule

Meet = Callable[[Tensor, float], Tensor]
"""A clean volume, met with the observation by a share from 0 to 1."""


def levels(schedule: Schedule, start: float, steps: int) -> list[float]:
    """Gammas of evenly spaced steps, from the first one of at most `start` down to step 0."""
    first = int((schedule.gammas > start).sum().clamp(max=schedule.steps - 1))
    return [float(schedule.gammas[round(t)]) for t in torch.linspace(first, 0, steps, dtype=torch.float64).tolist()]


def trust(gamma: float, uncertainty: float) -> float:
    """Share of the observation that is taken at a level: all of it until what is left is less noisy than it is."""
    noise = ((1 - gamma) / gamma) ** 0.5
    return 1.0 if uncertainty <= noise else noise / uncertainty


def consistent(
    finders: Sequence[Denoiser],
    meet: Meet,
    guess: Tensor,
    gammas: Sequence[float],
    noise: Noise,
    *,
    eta: float = 0.85,
    uncertainty: float = 0.0,
    alternate: bool = False,
) -> Tensor:
    """One volume.

    Args:
        finders: Of noise in a volume, such as one for each orientation of planes.
        meet: Meets the observation.
        guess: What the volume starts from, in [-1, 1].
        gammas: Levels that are visited, rising.
        noise: Of `FIRST`, and of every step by its number.
        eta: Noise that is added again in every step; 0 for none, 1 for as much as in an ancestral sampler.
        uncertainty: Standard deviation of the observation; 0 meets it exactly.
        alternate: Whether finders are asked in turn, or all in every step, and averaged.
    """
    state = gammas[0] ** 0.5 * guess + (1 - gammas[0]) ** 0.5 * noise(FIRST)
    for number, (gamma, after) in enumerate(pairwise([*gammas, 1.0])):
        asked = [finders[number % len(finders)]] if alternate else finders
        found = torch.stack([finder(state, gamma) for finder in asked]).mean(dim=0)
        image = meet(clean(state, found, gamma), trust(gamma, uncertainty))
        if number == len(gammas) - 1:
            return image
        left = (state - gamma**0.5 * image) / (1 - gamma) ** 0.5
        fresh = eta**2 * (1 - after) / (1 - gamma) * (1 - gamma / after)
        state = after**0.5 * image + (1 - after - fresh) ** 0.5 * left
        if fresh:
            state = state + fresh**0.5 * noise(number)
    raise ValueError("no levels to visit")
