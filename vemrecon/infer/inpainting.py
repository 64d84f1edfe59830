"""Missing sections: hide them from training, fill them by the method, and say how well where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vemrecon.errors import ConfigError
from vemrecon.volume import Volume

if TYPE_CHECKING:
    from vemrecon.methods.base import Method

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]


@runtime_checkable
class FillsSections(Protocol):
    """A method that can predict missing sections."""

    fills_sections: bool
    """Whether it has learned to."""

    def inpaint(self, volume: Tensor, sections: Sequence[int]) -> Tensor:
        """The volume (z, y, x) with the listed sections predicted from the others."""


@dataclass(frozen=True)
class Filled:
    """One predicted section; PSNR in dB against what was recorded of it, None where that is blank."""

    section: int
    voxels: int | None
    """How many were replaced; None for all."""
    psnr: float | None
    neighbours_psnr: float | None
    """Of the mean of the nearest recorded sections, for comparison."""

    def __str__(self) -> str:
        filled = f"section {self.section} filled"
        if self.voxels is not None:
            filled = f"section {self.section}: {self.voxels} damaged voxels filled"
        if self.psnr is None:
            return f"{filled}: nothing to compare with, the recorded section is blank"
        return (
            f"{filled}: {self.psnr:.2f} dB against the recorded one{' elsewhere' * (self.voxels is not None)} "
            f"(mean of its neighbours {self.neighbours_psnr:.2f} dB)"
        )


def fills(method: Method) -> bool:
    """Whether a method predicts missing sections."""
    return isinstance(method, FillsSections) and method.fills_sections


def require_filler(method: Method, name: str) -> None:
    """Refuse a method that predicts no missing sections.

    Raises:
        ConfigError: With one that does.
    """
    if not fills(method):
        raise ConfigError(f"method '{name}' cannot fill missing sections; isovem-plus and kernels can")


def require_fillable(sections: Sequence[int], count: int) -> None:
    """Refuse to fill more sections than are there.

    Raises:
        ConfigError: If they are more than half of all.
    """
    if len(sections) > count // 2:
        raise ConfigError(f"missing sections: {len(sections)} of {count} are too many to fill")


def without_sections(volume: Volume, sections: Sequence[int]) -> Volume:
    """The volume in memory, with listed sections replaced by the mean of the nearest others.

    What a method fills them from: neither blank sections nor, in a test, the recorded ones.
    """
    voxels = volume.read(volume.whole).copy()
    others = np.array([z for z in range(len(voxels)) if z not in set(sections)])
    for section in sections:
        voxels[section] = neighbours_mean(voxels, section, others)
    return volume.with_voxels(voxels)


def neighbours_mean(voxels: Float32, section: int, others: NDArray[np.int64]) -> Float32:
    """Mean of the nearest recorded sections below and above, or the only one of them there is."""
    below, above = others[others < section], others[others > section]
    near = [*below[-1:], *above[:1]]
    return voxels[near].mean(axis=0, dtype=np.float32)


def fill_sections(
    method: Method, name: str, volume: Volume, sections: Sequence[int], damage: Mapping[int, Mask] | None = None
) -> tuple[Volume, list[Filled]]:
    """Predict sections with a method.

    Args:
        method: Ready to reconstruct.
        name: For messages.
        volume: The volume as recorded, listed sections included.
        sections: Numbers of the sections to predict.
        damage: Of some of them, the voxels (y, x) to replace; the others stay as they were recorded.

    Returns:
        The repaired volume in memory, and how well each section was met.

    Raises:
        ConfigError: If the method cannot predict sections.
    """
    if not sections:
        return volume, []
    recorded = volume.read(volume.whole)
    hidden = without_sections(volume, sections)
    filled = predicted(method, name, hidden, sections)
    start, repaired = (one.read(one.whole) for one in (hidden, filled))
    report = []
    for section in sections:
        mask = (damage or {}).get(section)
        seen = recorded[section] if mask is None else recorded[section][~mask]
        beside = [one[section] if mask is None else one[section][~mask] for one in (repaired, start)]
        values = [psnr(seen, one) for one in beside] if seen.size and np.ptp(seen) else [None, None]
        report.append(Filled(section, None if mask is None else int(mask.sum()), *values))
        if mask is not None:
            repaired[section] = np.where(mask, repaired[section], recorded[section])
    return filled.with_voxels(repaired), report


def predicted(method: Method, name: str, hidden: Volume, sections: Sequence[int]) -> Volume:
    """The volume in memory with sections that a method predicts, from what `without_sections` gives.

    Raises:
        ConfigError: If the method cannot predict sections.
    """
    require_filler(method, name)
    assert isinstance(method, FillsSections)
    voxels = torch.from_numpy(hidden.read(hidden.whole)).to(method.device)
    with torch.inference_mode():
        return hidden.with_voxels(method.inpaint(voxels, sections).clamp(0, 1).cpu().numpy())


def psnr(truth: Float32, prediction: Float32) -> float:
    """PSNR in dB of two sections in [0, 1], on 8-bit grey levels."""
    difference = np.rint(truth.astype(np.float64) * 255) - np.rint(prediction.astype(np.float64) * 255)
    return float(10 * np.log10(255**2 / max(float((difference**2).mean()), 1e-10)))
