"""From isotropic to anisotropic, along any axis: what every degradation states, and `degrade`.

Conventions: `r` is the scale (anisotropy factor), `n` the number of truth sections along the degraded axis, and
observed section k is made from truth sections near position z_k:

    centred  z_k = r k + (r - 1) / 2     (`Average`: the middle of the slab)
    aligned  z_k = r k + offset          (`Subsample`: the section that was kept)

Mixing the two costs 2.4 to 4 dB, so every degradation states its `SectionGrid` and every volume carries it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vemrecon.errors import ConfigError, DataError
from vemrecon.volume import Region, SectionGrid, Volume
from vemrecon.volume.volume import moved

Float32 = NDArray[np.float32]
MAX_SCALE = 1000.0  # a sanity limit: no microscope cuts sections a thousand times thicker than its pixels


def check_scale(scale: float | str) -> float:
    """A scale that can be used: finite, above 1 and below `MAX_SCALE`.

    Raises:
        ConfigError: Otherwise.
    """
    try:
        value = float(scale)
    except (TypeError, ValueError):
        value = math.nan
    if not 1 < value <= MAX_SCALE:
        raise ConfigError(f"scale {scale!r}: must be a number above 1 and at most {MAX_SCALE:g}, such as 4, 8 or 2.5")
    return value


@dataclass(frozen=True)
class Degradation(ABC):
    """Turns truth sections into observed sections. Deterministic for a given seed."""

    scale: float

    name: ClassVar[str]
    keeps_truth: ClassVar[bool] = False
    """Whether observed sections are truth sections, unchanged, so that nothing is to be scored there."""

    @property
    @abstractmethod
    def grid(self) -> SectionGrid:
        """Where the observed sections lie."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale(self.scale))

    @property
    def arguments(self) -> dict[str, Any]:
        """Everything besides the scale that decides the result."""
        return {name: value for name, value in asdict(self).items() if name != "scale"}

    @property
    def canonical(self) -> Degradation:
        """The same with sections that begin with the volume; itself where they do. What patches are degraded by."""
        return self

    def drawn(self, rng: np.random.Generator) -> Degradation:
        """The degradation with parameters as they vary between training patches; itself where nothing varies."""
        return self

    def sections(self, n: int) -> int:
        """Number of observed sections for n truth sections."""
        return math.floor(n / self.scale + 1e-9)

    def positions(self, count: int) -> NDArray[np.float64]:
        """Where observed sections lie, in truth sections from the first one."""
        return self.grid.positions(count)

    def support(self, first: int, last: int, n: int) -> tuple[int, int]:
        """Truth sections [start, stop) that the observed sections [first, last) are made from."""
        start, stop = self.grid.touched(first, last)
        return start, min(n, stop)

    @abstractmethod
    def apply(self, truth: Float32, start: int, first: int, last: int, n: int, seed: int) -> Float32:
        """Observed sections [first, last) from the truth sections of `support`, whose first one is `start`.

        Args:
            truth: Shape (sections, y, x), in [0, 1], whole sections.
            start: Index of the first truth section given.
            first: First observed section wanted.
            last: One past the last observed section wanted.
            n: Number of truth sections of the volume, for its borders.
            seed: For degradations with random parts.
        """


def trimmed(volume: Volume, scale: float) -> Volume:
    """The volume without the sections at its end that fill no whole slab.

    Benchmarks trim before they degrade, for every degradation alike: what is dropped is never seen and never scored.

    Raises:
        DataError: If the volume is thinner than one slab.
    """
    count = math.floor(volume.shape[0] / scale + 1e-9)
    if count < 1:
        raise DataError(
            f"{volume.name}: {volume.shape[0]} sections are fewer than the scale {scale:g}; nothing to observe"
        )
    return volume.crop(Region((0, 0, 0), (math.ceil(count * scale - 1e-9), *volume.shape[1:])))


def degrade(volume: Volume, degradation: Degradation, *, axis: int = 0, seed: int = 0) -> Volume:
    """The anisotropic volume that a microscope with thick sections would have given, computed on demand.

    Args:
        volume: The truth; `axis` plays the axial part.
        degradation: What happens along this axis.
        axis: 0 (z), 1 (y) or 2 (x).
        seed: For noise; equal seeds give equal voxels however the result is read.

    Returns:
        float32 volume in [0, 1] with the voxel size, grid and origin of the degradation.

    Raises:
        DataError: If the volume is thinner than the scale.
    """
    truth = volume.with_axis_first(axis)
    count = degradation.sections(truth.shape[0])
    if count < 1:
        raise DataError(
            f"{volume.name}: {truth.shape[0]} sections along {'zyx'[axis]} are fewer than the scale "
            f"{degradation.scale:g}"
        )
    observed = Volume(
        _Degraded(truth, degradation, count, seed),
        truth.voxel_size.scaled(0, degradation.scale) if truth.voxel_size else None,
        volume.name,
        grid=degradation.grid,
        origin=moved(truth.origin, (degradation.grid.first, 0, 0), truth.voxel_size),
    )
    return observed.with_axis_first(axis)


class _Degraded:
    """Observed sections, made when they are asked for. Whole sections are degraded, whatever part is wanted."""

    dtype = np.dtype(np.float32)

    def __init__(self, truth: Volume, degradation: Degradation, count: int, seed: int) -> None:
        self.truth, self.degradation, self.seed = truth, degradation, seed
        self.shape = (count, *truth.shape[1:])

    def __getitem__(self, index: tuple[slice, slice, slice]) -> Float32:
        first, last, _ = index[0].indices(self.shape[0])
        n = self.truth.shape[0]
        start, stop = self.degradation.support(first, last, n)
        truth = self.truth.read(Region((start, 0, 0), (stop, *self.truth.shape[1:])))
        return self.degradation.apply(truth, start, first, last, n, self.seed)[(slice(None), *index[1:])]
