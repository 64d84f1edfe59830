"""`VolumeAt`: where a part of a volume is on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vemrecon.data.locate import Located, task_volume
from vemrecon.data.split import Split
from vemrecon.volume import Edges, Reading, Region, Volume
from vemrecon.volume.edges import OPTION
from vemrecon.volume.grey_range import GreyRange, StatedBy


@dataclass(frozen=True)
class VolumeAt:
    """A part of a volume on this machine."""

    path: str
    dataset: str | None
    digest: str
    voxel_size: tuple[float | None, float | None, float | None] | None
    intensity_range: tuple[float, float] | None
    split: str
    region: tuple[tuple[int, int, int], tuple[int, int, int]] | None
    reading: Mapping[str, Any] | None = None
    """What a user said about how the file is read, where it is anything."""
    stated_by: StatedBy | None = None
    """Who said the intensity range, where that was not the file."""

    @classmethod
    def of(cls, located: Located, split: Split) -> VolumeAt:
        """A split of a located volume."""
        region = split.region
        return cls(
            path=str(located.path),
            dataset=located.dataset,
            digest=located.digest,
            voxel_size=tuple(located.voxel_size) if located.voxel_size else None,  # type: ignore[arg-type]
            intensity_range=located.intensity_range,
            split=split.name,
            region=(region.start, region.stop) if region else None,
            reading=located.reading.said() or None,
            stated_by=located.stated_by,
        )

    @property
    def voxels(self) -> int | None:
        """Voxels of the region, where the split names one."""
        return Region(*self.region).voxels if self.region else None

    @property
    def grey_range(self) -> GreyRange:
        """Grey values that mean black and white in it, and who says so."""
        by = self.stated_by or (None if self.intensity_range is None else "user")
        return GreyRange.of(self.open(), by)

    def open(self) -> Volume:
        """The part of the volume that the split names."""
        size = Edges.of(self.voxel_size, OPTION) if self.voxel_size else None
        span = (self.intensity_range[0], self.intensity_range[1]) if self.intensity_range else None
        reading = Reading(**self.reading or {})
        located = Located(Path(self.path), self.dataset, self.digest, size, span, reading)
        return task_volume(located, Split(self.split, "", Region(*self.region) if self.region else None))
