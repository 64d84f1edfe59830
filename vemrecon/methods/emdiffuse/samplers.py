"""From noise to an image in [-1, 1], step by step.

`ancestral` is the released sampler; it needs about 200 steps and a fully trained network, since the early steps divide
by a small share of the image. `ddim` visits a few steps of the training's schedule. `dpmpp_2m_warm`, ours by default,
starts from the interpolated section at a share of `START` and takes few steps of even length in the logarithm of the
signal over the noise; it draws one noise only.

Sources: DDPM (Ho et al., 2020); DDIM (Song et al., 2021) with trailing steps; DPM-Solver++ (Lu et al., 2022), second
order, multistep.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from vemrecon.methods.emdiffuse.diffusion import clean
from vemrecon.methods.emdiffuse.schedule import Schedule

SAMPLERS = ("dpmpp_2m_warm", "ddim", "ancestral")
FIRST = "start"
START, END = 0.1, 0.9999
"""Shares of the image between which the warm sampler steps."""
CORRECTED = 0.2  # share of the steps, the last ones, in which the brightness is corrected
Denoiser = Callable[[Tensor, float], Tensor]
"""Noise in a state, in standard deviations, from the state and its gamma."""
Noise = Callable[[int | str], Tensor]
"""Standard normal noise for the step from a number, or for `FIRST`."""


def posterior_mean(schedule: Schedule, state: Tensor, image: Tensor, step: int) -> Tensor:
    """Expected state before a step, given that after it and the clean image."""
    return float(schedule.of_clean[step]) * image + float(schedule.of_state[step]) * state


def ancestral_step(
    schedule: Schedule, denoise: Denoiser, state: Tensor, step: int, noise: Noise, brightness: Tensor | None = None
) -> Tensor:
    """One step back.

    Args:
        schedule: Of the sampler.
        denoise: The noise network.
        state: After the step.
        step: Its number.
        noise: Of every step but 0.
        brightness: Mean of what is given for each image; if there is one, half of the difference is taken away in the
            last steps.
    """
    gamma = float(schedule.gammas[step])
    mean = posterior_mean(schedule, state, clean(state, denoise(state, gamma), gamma), step)
    if brightness is not None and step < CORRECTED * schedule.steps:
        mean = mean - 0.5 * (mean.mean((1, 2, 3), keepdim=True) - brightness.reshape(-1, 1, 1, 1))
    return mean + float((0.5 * schedule.log_variance[step]).exp()) * noise(step) if step else mean


def ancestral(schedule: Schedule, denoise: Denoiser, noise: Noise, brightness: Tensor | None = None) -> Tensor:
    """All steps back, from pure noise."""
    state = noise(FIRST)
    for step in reversed(range(schedule.steps)):
        state = ancestral_step(schedule, denoise, state, step, noise, brightness)
    return state


def visited(steps: int, of: int) -> list[int]:
    """Steps that a shorter sampler visits, from the noisiest one on.

    >>> visited(4, 2000), visited(3, 10)
    ([1999, 1499, 999, 499], [9, 6, 2])
    """
    return [round(of - i * of / steps) - 1 for i in range(steps)]


def ddim(schedule: Schedule, denoise: Denoiser, noise: Noise, steps: int) -> Tensor:
    """A few steps, without further noise, from pure noise.

    What the network finds is used as it is, not derived again from the clipped image: after a short training it is
    wrong about the image as long as there is much noise, and these errors would stay as surplus noise.
    """
    state = noise(FIRST)
    gammas = [float(schedule.gammas[step]) for step in visited(steps, schedule.steps)]
    for gamma, after in pairwise([*gammas, 1.0]):
        found = denoise(state, gamma)
        state = after**0.5 * clean(state, found, gamma) + (1 - after) ** 0.5 * found
    return state


def dpmpp_2m_warm(denoise: Denoiser, guess: Tensor, noise: Noise, steps: int, start: float = START) -> Tensor:
    """A few steps from a guess.

    Args:
        denoise: The noise network.
        guess: What is near the image, such as the interpolated section.
        noise: Of `FIRST`.
        steps: At least 1.
        start: Share of the guess at the start; lower is freer, higher is safer.
    """
    first, last = torch.tensor([start, END], dtype=torch.float64).logit()
    gammas = torch.linspace(first, last, steps, dtype=torch.float64).sigmoid()
    signals, noises = gammas.sqrt().tolist(), (1 - gammas).sqrt().tolist()
    lengths = gammas.logit().mul(0.5).diff().tolist()  # of steps, in the logarithm of signal over noise
    state = signals[0] * guess + noises[0] * noise(FIRST)
    before = guess
    for i, gamma in enumerate(gammas.tolist()):
        image = clean(state, denoise(state, gamma), gamma)
        if i == steps - 1:
            return image
        ahead = image + lengths[i] / (2 * lengths[i - 1]) * (image - before) if i else image
        growth = signals[i + 1] * noises[i] / (signals[i] * noises[i + 1])  # exp(step)
        state = noises[i + 1] / noises[i] * state + signals[i + 1] * (1 - 1 / growth) * ahead
        before = image
    return state
