"""`PowerCurve`: spectral power of truth, reconstruction and error by frequency: what is recovered, invented or lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vemrecon.metrics.fsc import DIRECTIONS, FEWEST, FourierShellCorrelation, shells
from vemrecon.metrics.spectrum import taper_energy

DIGITS = 6
"""Significant digits that are kept."""


@dataclass(frozen=True)
class PowerCurve:
    """Mean power per shell, or ring, in one direction.

    In squared grey levels: white noise of a standard deviation s has the power s^2 at every frequency. The error is
    reconstruction minus truth without their means, so that its power is `|A|^2 + |B|^2 - 2 Re(A conj B)`, from the sums
    that a Fourier shell correlation is made of: no transform is done for it.
    """

    frequency: NDArray[np.float64]
    """Nominal frequencies in 1/nm."""
    truth: NDArray[np.float64]
    reconstruction: NDArray[np.float64]
    error: NDArray[np.float64]
    valid: NDArray[np.bool_]
    """Shells with at least ten frequencies."""

    @classmethod
    def of(
        cls, frequency: NDArray[np.float64], sums: NDArray[np.float64], counts: NDArray[np.float64], energy: float
    ) -> PowerCurve:
        """The curve of sums over shells.

        Args:
            frequency: Of the shells, shape (n,).
            sums: `Re(A conj B)`, `|A|^2` and `|B|^2`, shape (3, n).
            counts: Frequencies per shell, shape (n,).
            energy: Sum of the squared taper over all voxels.
        """
        cross, truth, made = sums / (np.maximum(counts, 1) * energy)
        return cls(frequency, truth, made, np.maximum(truth + made - 2 * cross, 0), counts >= FEWEST)

    def points(self) -> dict[str, list[float | None]]:
        """Plain lists, None where a shell is not valid."""
        parts = {name: getattr(self, name) for name in ("truth", "reconstruction", "error")}
        return {
            "frequency": self.frequency.tolist(),
            **{
                name: [float(f"{v:.{DIGITS}g}") if ok else None for v, ok in zip(values, self.valid, strict=True)]
                for name, values in parts.items()
            },
        }


def mean_power(fsc: FourierShellCorrelation) -> dict[str, dict[str, list[float | None]]]:
    """Mean power over the blocks of a correlation, per direction; see `PowerCurve.points`."""
    geometry = shells(fsc.shape, fsc.voxel_size)
    frequency = np.arange(1, geometry.number + 1, dtype=np.float64) * geometry.width
    sums = fsc.sums.numpy().mean(axis=0)  # (3, 4, number)
    energy = taper_energy(fsc.shape, fsc.taper)
    return {
        name: PowerCurve.of(frequency, sums[:, i], geometry.counts[i], energy).points()
        for i, name in enumerate(DIRECTIONS)
    }
