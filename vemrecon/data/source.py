"""`Source`: the only data that a method gets to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vemrecon.data.regime import REGIMES
from vemrecon.data.stack import OnDemand, Stack
from vemrecon.degradations import Degradation
from vemrecon.errors import DataError, LeakError
from vemrecon.volume import Volume

IN_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Source:
    """Observed volumes, and what the regime of a method allows beyond them.

    Attributes:
        observed: Anisotropic volumes with the sections that a microscope would have given.
        degradation: How observed sections come from truth; lateral degradation applies it to y or x. What is learned
            from it begins with an observed section (`Degradation.canonical`), wherever the first one of a volume lies.
        regime: none, self, isotropic or external: see `MethodCard`.
        validation: Observed volumes kept apart for watching the training; never learned from.
        axial: Whether z of the observed volumes is the axis that will be reconstructed. Not in lateral tasks, where
            a lateral axis of sections like these is.
        memory: Most bytes of volumes (as float32) that are held in memory; patches of larger ones are read on demand.
    """

    observed: tuple[Volume, ...]
    degradation: Degradation
    regime: str
    validation: tuple[Volume, ...] = ()
    axial: bool = True
    memory: int = IN_MEMORY_BYTES
    _truth: tuple[Volume, ...] = field(default=(), repr=False)
    _validation_truth: tuple[Volume, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls,
        observed: Sequence[Volume],
        degradation: Degradation,
        regime: str,
        *,
        truth: Sequence[Volume] = (),
        validation: Sequence[Volume] = (),
        validation_truth: Sequence[Volume] = (),
        axial: bool = True,
        memory: int = IN_MEMORY_BYTES,
    ) -> Source:
        """A source that holds the truth only where the regime allows it, and a canonical degradation."""
        known = (tuple(truth), tuple(validation_truth)) if _sees_truth(regime) else ((), ())
        return cls(tuple(observed), degradation.canonical, regime, tuple(validation), axial, memory, *known)

    @property
    def truth(self) -> tuple[Volume, ...]:
        """Isotropic volumes of the training region, one for each observed one.

        Raises:
            LeakError: If the regime does not allow to see them.
        """
        if not self._truth:
            raise self._forbidden
        return self._truth

    @property
    def validation_truth(self) -> tuple[Volume, ...]:
        """Isotropic volumes of the validation region, one for each of `validation`; none if they were not given.

        Raises:
            LeakError: If the regime does not allow to see them.
        """
        if not _sees_truth(self.regime):
            raise self._forbidden
        return self._validation_truth

    def truth_in_memory(self, *, validation: bool = False) -> tuple[NDArray[np.float32], ...]:
        """Isotropic volumes of the training or of the validation region, shape (z, y, x) each, float32 in [0, 1].

        Raises:
            LeakError: If the regime does not allow to see them.
        """
        return self._held_validation_truth if validation else self._held_truth

    @cached_property
    def _held_truth(self) -> tuple[NDArray[np.float32], ...]:
        return self._in_memory(self.truth)

    @cached_property
    def _held_validation_truth(self) -> tuple[NDArray[np.float32], ...]:
        return self._in_memory(self.validation_truth)

    def hold(self) -> None:
        """Read volumes into memory that processes which are forked from this one could not read.

        Raises:
            DataError: If memory does not hold them.
        """
        for name, volumes in (
            ("sections", self.observed),
            ("validation_sections", self.validation),
            ("_held_truth", self._truth),
            ("_held_validation_truth", self._validation_truth),
        ):
            if all(volume.fork_safe for volume in volumes):
                continue
            for held in (self.observed, self.validation) if self._on_demand else ():
                self.require_memory(held)
            getattr(self, name)  # is kept

    @property
    def _forbidden(self) -> LeakError:
        return LeakError(f"a method of regime '{self.regime}' asked for isotropic truth, which its regime forbids")

    @property
    def scale(self) -> float:
        """Anisotropy factor."""
        return self.degradation.scale

    @cached_property
    def sections(self) -> tuple[Stack, ...]:
        """Observed volumes, shape (z, y, x) each, float32 in [0, 1]; read on demand where memory does not hold them."""
        return self._stacks(self.observed)

    @cached_property
    def validation_sections(self) -> tuple[Stack, ...]:
        """Validation volumes, likewise."""
        return self._stacks(self.validation)

    def require_memory(self, volumes: Sequence[Volume], times: float = 1) -> None:
        """Refuse volumes that memory does not hold.

        Args:
            volumes: All of them.
            times: How many times their voxels are held.

        Raises:
            DataError: With what to do.
        """
        size = float_bytes(volumes) * times
        if size > self.memory:
            raise DataError(
                f"{volumes[0].name}: {size / 2**30:.2g} GiB of voxels are more than this training holds in memory "
                f"({self.memory / 2**30:.2g} GiB); train on a part of it (a smaller split, or a file with fewer voxels)"
            )

    @property
    def _on_demand(self) -> bool:
        return max(float_bytes(self.observed), float_bytes(self.validation)) > self.memory

    def _stacks(self, volumes: Sequence[Volume]) -> tuple[Stack, ...]:
        if self._on_demand:
            return tuple(OnDemand(volume) for volume in volumes)
        return tuple(volume.read(volume.whole) for volume in volumes)

    def _in_memory(self, volumes: Sequence[Volume]) -> tuple[NDArray[np.float32], ...]:
        self.require_memory(volumes)
        return tuple(volume.read(volume.whole) for volume in volumes)


def _sees_truth(regime: str) -> bool:
    return REGIMES.index(regime) >= REGIMES.index("isotropic")


def float_bytes(volumes: Sequence[Volume]) -> int:
    """What volumes take as float32."""
    return sum(volume.whole.voxels for volume in volumes) * 4
