"""`Subject`: the volumes that a figure shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vemrecon.figure.cuts import Observed
from vemrecon.figure.outlines import Outline
from vemrecon.figure.plate import Entry
from vemrecon.volume import Volume, VoxelSize
from vemrecon.volume.planes import PLANE_AXES


@dataclass(frozen=True)
class Subject:
    """All volumes that a figure can show."""

    truth: Volume | None
    observed: Observed | None
    entries: tuple[Entry, ...]
    planes: tuple[str, ...] = tuple(PLANE_AXES)
    """That are worth showing; others can be asked for."""
    outlines: Mapping[str, Outline] = field(default_factory=dict)
    """What a segmenter found in the truth, by plane."""
    outlined: tuple[int, int, int] | None = None
    """Voxel that all planes with outlines go through."""

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """All that are shown: truth, observed volume, reconstructions and what is uncertain in them."""
        observed = self.observed.volume if self.observed is not None else None
        made = (volume for entry in self.entries for volume in (entry.volume, entry.uncertainty))
        known = (self.truth, observed, *made)
        return tuple(volume for volume in known if volume is not None)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the truth, z-y-x."""
        return self.entries[0].volume.shape

    @property
    def voxel_size(self) -> VoxelSize:
        """Of the truth.

        Raises:
            DataError: If no file says it.
        """
        known = [volume for volume in (self.truth, *(e.volume for e in self.entries)) if volume is not None]
        return next((volume for volume in known if volume.voxel_size), known[0]).require_voxel_size()
