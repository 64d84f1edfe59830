"""How fast the mean-reverting diffusion forgets a section, level by level.

Source: IR-SDE (Luo et al., ICML 2023) and the released D2R code. Level 0 is the section itself; at the last level a
share `rest` of its difference from the mean is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vemrecon.errors import ConfigError, unknown

GREY_LEVELS = 255.0


@dataclass(frozen=True)
class Schedule:
    """Speeds theta of all levels, and the numbers that follow from them, in float64.

    Attributes:
        thetas: Shape (levels + 1,); the first one belongs to the section itself and is not used.
        delta: Noise level that the diffusion tends to, in intensities of [0, 1].
        rest: Share of the difference from the mean that the last level keeps.
    """

    thetas: Tensor
    delta: float
    rest: float = 0.005

    @property
    def levels(self) -> int:
        """Number of noise levels; also that of the steps of a complete sampler."""
        return len(self.thetas) - 1

    @cached_property
    def cumulative(self) -> Tensor:
        """Sums of the speeds from level 1 on; 0 at level 0."""
        return self.thetas.cumsum(0) - self.thetas[0]

    @cached_property
    def dt(self) -> float:
        """Time between levels."""
        return -math.log(self.rest) / float(self.cumulative[-1])

    def elapsed(self, level: int | Tensor, before: int | Tensor = 0) -> Tensor:
        """Integral of the speed from level `before` to `level`, shape () or (b,)."""
        return (self._cumulative_at(level) - self._cumulative_at(before)) * self.dt

    def noise_level(self, level: int | Tensor) -> Tensor:
        """Standard deviation of the noise at a level, shape () or (b,)."""
        return self.delta * (-torch.expm1(-2 * self.elapsed(level))).sqrt()

    def _cumulative_at(self, level: int | Tensor) -> Tensor:
        return self.cumulative.to(level.device)[level] if isinstance(level, Tensor) else self.cumulative[level]


def make_schedule(kind: str, levels: int, max_sigma: float, rest: float = 0.005) -> Schedule:
    """A schedule by name.

    Args:
        kind: cosine, linear or constant.
        levels: Number of noise levels.
        max_sigma: Noise level in grey levels if at least 1, otherwise in intensities.
        rest: See `Schedule`.

    Raises:
        ConfigError: If the kind is unknown or a number makes no sense.
    """
    if kind not in SPEEDS:
        raise unknown("IRSDE schedule", kind, SPEEDS)
    if levels < 1 or max_sigma <= 0 or not 0 < rest < 1:
        raise ConfigError(f"IRSDE: {levels} levels, noise {max_sigma:g} and rest {rest:g} make no schedule")
    return Schedule(SPEEDS[kind](levels), max_sigma / GREY_LEVELS if max_sigma >= 1 else max_sigma, rest)


def _cosine(levels: int) -> Tensor:
    n = levels + 2
    at = torch.arange(n + 1, dtype=torch.float64) / n
    falling = torch.cos((at + 0.008) / 1.008 * (math.pi / 2)).square()
    return 1 - falling[1:-1] / falling[0]


def _linear(levels: int) -> Tensor:
    factor = 1000 / (levels + 1)
    return torch.linspace(1e-4 * factor, 2e-2 * factor, levels + 1, dtype=torch.float64)


def _constant(levels: int) -> Tensor:
    return torch.ones(levels + 1, dtype=torch.float64)


SPEEDS: Mapping[str, Callable[[int], Tensor]] = {"cosine": _cosine, "linear": _linear, "constant": _constant}
