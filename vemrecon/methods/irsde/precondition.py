"""A noise network that only learns what a guess leaves over: not part of IRSDE, but it makes short trainings useful.

The guess is the best linear one if sections differ from interpolated ones by normal numbers of a given size. What the
network adds is scaled to what such a guess gets wrong, so that its errors are not amplified where noise hides nearly
all of a section. That matters most where a sampler makes few steps.

Source: Karras et al., "Elucidating the design space of diffusion-based generative models", NeurIPS 2022, section 5 and
appendix B.6, written for noise instead of images and for a mean-reverting diffusion.
"""

from __future__ import annotations

from torch import Tensor

from vemrecon.methods.irsde.diffusion import Denoiser, Level, like
from vemrecon.methods.irsde.schedule import Schedule


def preconditioned(schedule: Schedule, net: Denoiser, residual: float) -> Denoiser:
    """The noise network.

    Args:
        schedule: Of the diffusion.
        net: Learns, with outputs of size 1.
        residual: Standard deviation of what interpolation misses, in intensities.
    """

    def denoise(state: Tensor, mean: Tensor, level: Level) -> Tensor:
        signal, noise = residual * (-schedule.elapsed(level)).exp(), schedule.noise_level(level)
        variance = signal**2 + noise**2
        guess = like(state, noise / variance) * (state - mean)
        return guess + like(state, signal / variance.sqrt()) * net(state, mean, level)

    return denoise
