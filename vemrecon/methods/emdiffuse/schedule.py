"""How much of an image is left after every step of a diffusion whose noise grows linearly.

`gamma` is the share of the clean image in the variance: state = sqrt(gamma) image + sqrt(1 - gamma) noise. Networks are
told gamma, not the step, so that trainings and samplers may have different schedules.

Source: DDPM (Ho et al., NeurIPS 2020) as the vEMDiffuse release computes it, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-20  # at step 0, whose logarithm would be infinite


@dataclass(frozen=True)
class Schedule:
    """Numbers of every step, float64.

    Attributes:
        betas: Variance of the noise that a step adds, shape (steps,).
    """

    betas: Tensor

    @property
    def steps(self) -> int:
        """Number of steps; step 0 is the one with the least noise."""
        return len(self.betas)

    @cached_property
    def gammas(self) -> Tensor:
        """Share of the clean image after every step."""
        return torch.cumprod(1 - self.betas, dim=0)

    @cached_property
    def gammas_before(self) -> Tensor:
        """Share before every step; 1 before step 0."""
        return torch.cat([self.gammas.new_ones(1), self.gammas[:-1]])

    @cached_property
    def log_variance(self) -> Tensor:
        """Of the state before a step, given that after it and the clean image."""
        variance = self.betas * (1 - self.gammas_before) / (1 - self.gammas)
        return variance.clamp_min(LEAST_VARIANCE).log()

    @cached_property
    def of_clean(self) -> Tensor:
        """What the mean of this state takes of the clean image."""
        return self.betas * self.gammas_before.sqrt() / (1 - self.gammas)

    @cached_property
    def of_state(self) -> Tensor:
        """What it takes of the state after the step."""
        return (1 - self.gammas_before) * (1 - self.betas).sqrt() / (1 - self.gammas)

    def between(self, step: Tensor, share: Tensor) -> Tensor:
        """Gamma at a share of the way from step - 1 to step, which is at least 1; shape (b,), float32."""
        gammas = self.gammas.to(step.device)
        before, after = gammas[step - 1], gammas[step]
        return (before + share.to(gammas) * (after - before)).float()


def linear_schedule(steps: int, first: float, last: float) -> Schedule:
    """Betas from `first` to `last`."""
    return Schedule(torch.linspace(first, last, steps, dtype=torch.float64))
