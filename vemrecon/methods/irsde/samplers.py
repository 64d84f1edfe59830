"""From an interpolated section and noise to a sharp section, level by level.

Source: the released D2R code (`sde`, its default, and `ode`) and the IR-SDE code (`posterior`). All three visit every
level there. Fewer steps are our addition: levels are then left out evenly. `posterior` stays exact for a perfect noise
network, whatever is left out; the Euler steps of `sde` and `ode` need nearly all levels.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from vemrecon.methods.irsde.diffusion import Denoiser, optimal_spread, optimal_state, reverse_mean, section_of
from vemrecon.methods.irsde.schedule import Schedule

SAMPLERS = ("sde", "ode", "posterior")
START = "start"
Noise = Callable[[int | str], Tensor]
"""Standard normal noise shaped like the sections, for the step from a level, or for `START`."""


def level_pairs(levels: int, steps: int) -> list[tuple[int, int]]:
    """Levels between which a sampler steps, from the last level to 0.

    >>> level_pairs(100, 4)
    [(100, 75), (75, 50), (50, 25), (25, 0)]
    """
    visited = [round(levels * i / steps) for i in range(steps, -1, -1)]
    return list(pairwise(visited))


def start_state(schedule: Schedule, mean: Tensor, noise: Noise) -> Tensor:
    """What sampling starts from: the interpolated section with noise."""
    return mean + schedule.delta * noise(START)


def step_back(
    schedule: Schedule,
    denoiser: Denoiser,
    state: Tensor,
    mean: Tensor,
    level: int,
    before: int,
    sampler: str,
    noise: Noise,
) -> Tensor:
    """One step of a sampler, from `level` to the lower level `before`."""
    found = denoiser(state, mean, level)
    if sampler == "ode":
        return reverse_mean(schedule, state, mean, found, level, before, ode=True)
    if sampler == "sde":
        spread = schedule.delta * float(2 * schedule.elapsed(level, before)) ** 0.5
        return reverse_mean(schedule, state, mean, found, level, before) - spread * noise(level)
    section = section_of(schedule, state, mean, found, level)
    best = optimal_state(schedule, state, section, mean, level, before)
    return best + optimal_spread(schedule, level, before) * noise(level)


def sample(
    schedule: Schedule,
    denoiser: Denoiser,
    mean: Tensor,
    steps: int,
    sampler: str,
    noise: Noise,
) -> Tensor:
    """Sharp sections, not clipped.

    Args:
        schedule: Of the diffusion.
        denoiser: The noise network.
        mean: Interpolated sections.
        steps: Evaluations of the network, at most the levels of the schedule.
        sampler: One of `SAMPLERS`.
        noise: For the start, and for the step from every level.
    """
    state = start_state(schedule, mean, noise)
    for level, before in level_pairs(schedule.levels, steps):
        state = step_back(schedule, denoiser, state, mean, level, before, sampler, noise)
    return state
