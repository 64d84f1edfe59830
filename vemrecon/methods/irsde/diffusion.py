"""The mean-reverting diffusion of sections: forwards, one step back, and the loss of a noise network.

Names: `section` is the sharp section x_0, `mean` the interpolated one mu that the diffusion tends to, `state` x_t.
Images are (b, 1, rows, columns); a level is a number, or one for each image, shape (b,).

Source: IR-SDE (Luo et al., ICML 2023), equations 6, 13 and 14, and the released D2R code. The DGEAN paper prints the
optimal state with a wrong second factor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from vemrecon.methods.irsde.schedule import Schedule

Level = int | Tensor
Denoiser = Callable[[Tensor, Tensor, Level], Tensor]
"""Noise in a state, in standard deviations, from the state, its mean and its level."""


def forward_mean(schedule: Schedule, section: Tensor, mean: Tensor, level: Level) -> Tensor:
    """Expected state at a level."""
    return mean + (section - mean) * like(section, (-schedule.elapsed(level)).exp())


def forward_state(schedule: Schedule, section: Tensor, mean: Tensor, level: Level, noise: Tensor) -> Tensor:
    """State at a level for standard normal noise."""
    return forward_mean(schedule, section, mean, level) + noise * like(section, schedule.noise_level(level))


def section_of(schedule: Schedule, state: Tensor, mean: Tensor, noise: Tensor, level: Level) -> Tensor:
    """The section that `forward_state` was given."""
    blurred = state - mean - noise * like(state, schedule.noise_level(level))
    return mean + blurred * like(state, schedule.elapsed(level).exp())


def reverse_mean(
    schedule: Schedule, state: Tensor, mean: Tensor, noise: Tensor, level: Level, before: Level, *, ode: bool = False
) -> Tensor:
    """Euler step back from `level` to `before`, without the noise that the stochastic equation adds.

    Args:
        schedule: Of the diffusion.
        state: At `level`.
        mean: What the diffusion tends to.
        noise: Estimate of the noise in the state.
        level: Where the step starts.
        before: Where it ends; one level lower in a complete sampler.
        ode: Whether to follow the deterministic equation with the same marginals.
    """
    elapsed = schedule.elapsed(level, before)
    spread = (1 if ode else 2) * schedule.delta**2 * elapsed
    drift = like(state, elapsed) * (mean - state)
    return state - drift - like(state, spread / schedule.noise_level(level)) * noise


def optimal_state(
    schedule: Schedule, state: Tensor, section: Tensor, mean: Tensor, level: Level, before: Level
) -> Tensor:
    """Most likely state at the lower level `before`, given that at `level` and the section."""
    last, rest, kept = (
        (-elapsed).exp()
        for elapsed in (schedule.elapsed(level, before), schedule.elapsed(level), schedule.elapsed(before))
    )
    of_state = last * (1 - kept**2) / (1 - rest**2)
    of_section = kept * (1 - last**2) / (1 - rest**2)
    return mean + like(state, of_state) * (state - mean) + like(state, of_section) * (section - mean)


def optimal_spread(schedule: Schedule, level: int, before: int) -> float:
    """Standard deviation of the state at `before`, given that at `level` and the section."""
    last, rest, kept = (
        float((-2 * elapsed).exp())
        for elapsed in (schedule.elapsed(level, before), schedule.elapsed(level), schedule.elapsed(before))
    )
    variance = (1 - last) * (1 - kept) / (1 - rest)
    return float(schedule.delta * max(variance, 1e-20 * schedule.dt) ** 0.5)


def matching_loss(
    schedule: Schedule, denoiser: Denoiser, section: Tensor, mean: Tensor, level: Tensor, noise: Tensor
) -> Tensor:
    """Mean distance between the step back that a network makes and the most likely one.

    Args:
        schedule: Of the diffusion.
        denoiser: Learns.
        section: Sharp sections.
        mean: Interpolated ones.
        level: From 1 on, shape (b,).
        noise: Standard normal, shaped like the sections.
    """
    state = forward_state(schedule, section, mean, level, noise)
    step = reverse_mean(schedule, state, mean, denoiser(state, mean, level), level, level - 1)
    return F.l1_loss(step, optimal_state(schedule, state, section, mean, level, level - 1))


def like(images: Tensor, numbers: Tensor) -> Tensor:
    """One number, or one for each image, in a form that multiplies images."""
    return numbers.to(images).reshape(-1, 1, 1, 1)
