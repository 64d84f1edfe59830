"""A noise network for sections that only learns what a guess leaves over (`preconditioning`): not part of IRSDE."""

from __future__ import annotations

from torch import Tensor

from vemrecon.methods.irsde.diffusion import Denoiser, Level, like
from vemrecon.methods.irsde.schedule import Schedule
from vemrecon.methods.preconditioning import with_guess


def preconditioned(schedule: Schedule, net: Denoiser, residual: float) -> Denoiser:
    """The noise network.

    Args:
        schedule: Of the diffusion.
        net: Learns, with outputs of size 1.
        residual: Standard deviation of what interpolation misses, in intensities.
    """

    def denoise(state: Tensor, mean: Tensor, level: Level) -> Tensor:
        signal = like(state, residual * (-schedule.elapsed(level)).exp())
        return with_guess(state - mean, net(state, mean, level), signal, like(state, schedule.noise_level(level)))

    return denoise
