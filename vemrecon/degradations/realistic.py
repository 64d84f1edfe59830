"""Degradations with blur and noise: `Realistic` (recommended) and `RealisticReleased` (VEMamba's code)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from vemrecon.degradations.average import Average
from vemrecon.degradations.degradation import Degradation, Float32
from vemrecon.degradations.gaussian import blurred
from vemrecon.degradations.released import blur, isotropic_kernel
from vemrecon.degradations.subsample import Subsample
from vemrecon.errors import ConfigError
from vemrecon.seeding import derive
from vemrecon.volume import SectionGrid


@dataclass(frozen=True)
class Realistic(Degradation):
    """Axial blur, lateral blur, thick or kept sections, Poisson-Gaussian noise, rounding to 8 bit.

    The defaults are the fixed test values; `drawn` gives those of a training patch.
    Source: degradation page, section 3.3 (our choice: the papers state the components but not their parameters).
    """

    axial_sigma_per_scale: float = 0.25
    """Standard deviation of the axial blur over the scale, in truth sections."""
    lateral_sigma: float = 0.5
    """Standard deviation of the lateral blur in voxels; 0 for none."""
    sections_by: Literal["average", "subsample"] = "average"
    """How sections are taken from the blurred volume."""
    alpha: float = 0.004
    """Poisson part: variance per grey level, on the [0, 1] scale."""
    sigma: float = 0.02
    """Gaussian part: standard deviation on the [0, 1] scale."""

    name: ClassVar[str] = "realistic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.axial_sigma_per_scale, self.lateral_sigma, self.alpha, self.sigma) < 0:
            raise ConfigError("realistic: blur and noise parameters must not be negative")
        _ = self.sampler

    def drawn(self, rng: np.random.Generator) -> Realistic:
        """Parameters as they vary during training: a method must not rely on one blur and one noise level."""
        return replace(
            self,
            axial_sigma_per_scale=rng.uniform(0.2, 0.5 * self.scale) / self.scale,
            lateral_sigma=rng.uniform(0.2, 0.8),
            alpha=rng.uniform(0, 0.01),
            sigma=rng.uniform(0, 0.05),
        )

    @property
    def sampler(self) -> Degradation:
        """The noise-free step from blurred to observed sections."""
        if self.sections_by not in ("average", "subsample"):
            raise ConfigError(f"realistic: sections_by is {self.sections_by!r}; it must be average or subsample")
        return Average(self.scale) if self.sections_by == "average" else Subsample(self.scale)

    @property
    def grid(self) -> SectionGrid:
        """That of the sampler."""
        return self.sampler.grid

    def sections(self, n: int) -> int:
        """As many as the sampler gives."""
        return self.sampler.sections(n)

    @property
    def halo(self) -> int:
        """Reach of the axial blur in sections."""
        return math.ceil(3 * self.axial_sigma_per_scale * self.scale)

    def support(self, first: int, last: int, n: int) -> tuple[int, int]:
        """Sections of the sampler and the reach of the blur around them."""
        start, stop = self.sampler.support(first, last, n)
        return max(0, start - self.halo), min(n, stop + self.halo)

    def apply(self, truth: Float32, start: int, first: int, last: int, n: int, seed: int) -> Float32:
        """Blurred, sampled, noisy and rounded sections."""
        inner, end = self.sampler.support(first, last, n)
        # reflected at the ends of the volume; slab edges inside it lie beyond the reach of the blur
        lateral = math.ceil(3 * self.lateral_sigma)
        sigmas = (self.axial_sigma_per_scale * self.scale, self.lateral_sigma, self.lateral_sigma)
        soft = blurred(truth, sigmas, (self.halo, lateral, lateral))
        sections = self.sampler.apply(soft[inner - start : end - start], inner, first, last, n, seed)
        for k, section in enumerate(sections, start=first):
            noise = derive(seed, "noise", k).standard_normal(section.shape)
            section[:] = signal_dependent(section, noise, self.alpha, self.sigma)
        return np.rint(sections * 255).astype(np.float32) / np.float32(255)


def signal_dependent(clean: Float32, draw: np.ndarray, alpha: float, sigma: float) -> Float32:
    """Poisson-Gaussian noise in its Gaussian approximation, clipped to [0, 1].

    `clean + draw * sqrt(alpha * clean + sigma^2)` for a standard normal draw. Source: D2R-DGEAN, noise model.
    """
    noisy = clean.astype(np.float64) + draw * np.sqrt(alpha * clean.astype(np.float64) + sigma**2)
    return np.clip(noisy, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class RealisticReleased(Degradation):
    """VEMamba's released operator (2D Gaussian blur in the plane of the degraded and the last axis, additive noise,
    rounding to 8 bit), then slab means. Its test values are sigma 2.6 and no noise.
    """

    blur_sigma: float = 2.6
    noise_level: float = 0.0
    """Standard deviation of the noise in grey levels (0..255), before the slab mean."""
    kernel_size: int = 21

    name: ClassVar[str] = "realistic_released"

    def drawn(self, rng: np.random.Generator) -> RealisticReleased:
        """One kernel and one noise level per patch, as the release draws them in training."""
        return replace(self, blur_sigma=rng.uniform(0.2, 4.0), noise_level=self.noise_level * rng.uniform())

    @property
    def grid(self) -> SectionGrid:
        """In the middle of the slabs."""
        return SectionGrid.slabs(self.scale)

    def support(self, first: int, last: int, n: int) -> tuple[int, int]:
        """Slabs and the reach of the kernel."""
        start, stop = Average(self.scale).support(first, last, n)
        return max(0, start - self.kernel_size // 2), min(n, stop + self.kernel_size // 2)

    def apply(self, truth: Float32, start: int, first: int, last: int, n: int, seed: int) -> Float32:
        """Blur, noise, round, clamp, average."""
        slabs = Average(self.scale)
        inner, end = slabs.support(first, last, n)
        grey = truth.astype(np.float64) * 255
        if self.blur_sigma > 0:
            kernel = isotropic_kernel(self.kernel_size, self.blur_sigma)
            grey = np.stack([blur(grey[:, y], kernel) for y in range(grey.shape[1])], axis=1)
        grey = grey[inner - start : end - start]
        if self.noise_level > 0:
            for i, section in enumerate(grey, start=inner):
                section += self.noise_level * derive(seed, "noise", i).standard_normal(section.shape)
        rounded = np.clip(np.rint(grey), 0, 255).astype(np.float32) / np.float32(255)
        return slabs.apply(rounded, inner, first, last, n, seed)
