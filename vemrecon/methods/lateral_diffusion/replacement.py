"""DiffuseIR's sampler: planes whose known rows are put back, with noise, before every step, and steps made repeatedly.

Source: DiffuseIR (Pan et al., MICCAI 2023) and the resampling of RePaint (Lugmayr et al., CVPR 2022). What we changed:
the start is the interpolation of the known rows (the released script inverts the complete image), and known rows are
put back at the end.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from vemrecon.methods.emdiffuse.diffusion import clean
from vemrecon.methods.emdiffuse.samplers import Denoiser, Noise
from vemrecon.methods.emdiffuse.schedule import Schedule


def respaced(schedule: Schedule, steps: int) -> Schedule:
    """A schedule that visits every n-th step of a longer one, from step 0 on."""
    gammas = schedule.gammas[:: schedule.steps // steps][:steps]
    return Schedule(1 - gammas / torch.cat([gammas.new_ones(1), gammas[:-1]]))


def visits(steps: int, length: int, times: int) -> list[int]:
    """Steps in the order in which a sampler with resampling is at them; a fall is a step back, a rise an undoing.

    Args:
        steps: Of the schedule.
        length: Steps that are undone together.
        times: How often every step is made.

    >>> visits(3, 1, 2)
    [2, 1, 2, 1, 0, 1, 0, -1]
    """
    left = dict.fromkeys(range(0, steps - length, length), times - 1)
    found, step = [], steps
    while step:
        step -= 1
        found.append(step)
        if left.get(step):
            left[step] -= 1
            found += range(step + 1, step + length + 1)
            step += length
    return [*found, -1]


def inverted(schedule: Schedule, denoise: Denoiser, image: Tensor) -> Tensor:
    """The noise that a sampler without fresh noise would make an image of: its steps, made in the other direction."""
    state = image
    for gamma, after in pairwise([*schedule.gammas.tolist(), 0.0]):
        found = denoise(state, gamma)
        image = (state - (1 - gamma) ** 0.5 * found) / gamma**0.5
        state = after**0.5 * image + (1 - after) ** 0.5 * found
    return state


def replaced(state: Tensor, known: Tensor, mask: Tensor, gamma: float, noise: Tensor) -> Tensor:
    """A state with known rows (mask 1) at the same level put in."""
    return torch.where(mask > 0, gamma**0.5 * known + (1 - gamma) ** 0.5 * noise, state)


def step_back(schedule: Schedule, denoise: Denoiser, state: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Clean image, and state before a step, without fresh noise."""
    gamma, before = float(schedule.gammas[step]), float(schedule.gammas_before[step])
    image = clean(state, denoise(state, gamma), gamma)
    left = (state - gamma**0.5 * image) / (1 - gamma) ** 0.5
    return image, before**0.5 * image + (1 - before) ** 0.5 * left


def undone(schedule: Schedule, state: Tensor, step: int, noise: Tensor) -> Tensor:
    """The state after a step again, with its noise drawn anew."""
    beta = float(schedule.betas[step])
    return (1 - beta) ** 0.5 * state + beta**0.5 * noise


def resampled(
    schedule: Schedule,
    denoise: Denoiser,
    guess: Tensor,
    known: Tensor,
    mask: Tensor,
    noise: Noise,
    *,
    length: int = 1,
    times: int = 20,
) -> Tensor:
    """Planes with known rows.

    Args:
        schedule: Of the steps that are visited.
        denoise: The noise network.
        guess: Interpolated planes in [-1, 1], shape (n, 1, rows, columns).
        known: In the same shape.
        mask: 1 where rows are known; broadcasts.
        noise: Of every visit, by its number.
        length: See `visits`.
        times: See `visits`.
    """
    state = inverted(schedule, denoise, guess)
    for number, (last, now) in enumerate(pairwise(visits(schedule.steps, length, times))):
        if now > last:
            state = undone(schedule, state, now, noise(number))
            continue
        if number:
            state = replaced(state, known, mask, float(schedule.gammas[last]), noise(number))
        _, state = step_back(schedule, denoise, state, last)
    return torch.where(mask > 0, known, state)
