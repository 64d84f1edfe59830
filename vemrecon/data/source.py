"""`Source`: the only data that a method gets to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.regime import REGIMES
from vemrecon.degrade import Degradation
from vemrecon.errors import DataError, LeakError
from vemrecon.volume import Volume

IN_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Source:
    """Observed volumes, and what the regime of a method allows beyond them.

    Attributes:
        observed: Anisotropic volumes with the sections that a microscope would have given.
        degradation: How observed sections come from truth; lateral degradation applies it to y or x.
        regime: none, self, isotropic or external: see `MethodCard`.
        validation: Observed volumes kept apart for watching the training; never learned from.
    """

    observed: tuple[Volume, ...]
    degradation: Degradation
    regime: str
    validation: tuple[Volume, ...] = ()
    _truth: tuple[Volume, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls,
        observed: Sequence[Volume],
        degradation: Degradation,
        regime: str,
        *,
        truth: Sequence[Volume] = (),
        validation: Sequence[Volume] = (),
    ) -> Source:
        """A source that holds the truth only where the regime allows it."""
        allowed = tuple(truth) if REGIMES.index(regime) >= REGIMES.index("isotropic") else ()
        return cls(tuple(observed), degradation, regime, tuple(validation), allowed)

    @property
    def truth(self) -> tuple[Volume, ...]:
        """Isotropic volumes of the training region, one for each observed one.

        Raises:
            LeakError: If the regime does not allow to see them.
        """
        if not self._truth:
            raise LeakError(f"a method of regime '{self.regime}' asked for isotropic truth, which its regime forbids")
        return self._truth

    @property
    def scale(self) -> float:
        """Anisotropy factor."""
        return self.degradation.scale

    @cached_property
    def sections(self) -> tuple[NDArray[np.float32], ...]:
        """Observed volumes in memory, shape (z, y, x) each, float32 in [0, 1]."""
        return tuple(in_memory(volume) for volume in self.observed)

    @cached_property
    def validation_sections(self) -> tuple[NDArray[np.float32], ...]:
        """Validation volumes in memory."""
        return tuple(in_memory(volume) for volume in self.validation)


def in_memory(volume: Volume) -> NDArray[np.float32]:
    """All voxels of a volume.

    Raises:
        DataError: If the volume is larger than `IN_MEMORY_BYTES`.
    """
    size = volume.whole.voxels * 4
    if size > IN_MEMORY_BYTES:
        raise DataError(
            f"{volume.name}: {size / 2**30:.1f} GiB of observed sections are more than training holds in memory "
            f"({IN_MEMORY_BYTES / 2**30:.0f} GiB); train on a smaller split"
        )
    return volume.read(volume.whole)
