"""A noise network that only learns what a guess leaves over, so that short trainings are useful.

The guess is the best linear one if clean images differ from a known mean by normal numbers of a given size. What the
network adds is scaled to what such a guess gets wrong, so that its errors are not amplified where noise hides nearly
all of an image. That matters most where a sampler makes few steps.

Source: Karras et al., "Elucidating the design space of diffusion-based generative models", NeurIPS 2022, section 5 and
appendix B.6, written for noise instead of images, and for a known mean.
"""

from __future__ import annotations

from torch import Tensor


def with_guess(difference: Tensor, learned: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """The noise, in standard deviations.

    Args:
        difference: Of the noisy image from its mean.
        learned: Of size 1, from a network.
        signal: Standard deviation of what the clean image adds to the mean; its shape multiplies images, as `noise`.
        noise: Standard deviation of the noise.
    """
    variance = signal**2 + noise**2
    return noise / variance * difference + signal / variance.sqrt() * learned


def of_learned(error: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """What the network itself is wrong by, from the error of the noise; see `with_guess`."""
    return error * (signal**2 + noise**2).sqrt() / signal
