"""Options that several commands have in common: what a user says about files, and where files of datasets are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vemrecon.options import Options, option

if TYPE_CHECKING:
    from vemrecon.volume import Reading, VoxelSize


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """What files do not say themselves."""

    voxel_size: tuple[float, float, float] | None = option(
        "nm, where a file does not say it", None, metavar=("Z", "Y", "X")
    )
    intensity_range: tuple[float, float] | None = option(
        "grey values that mean black and white", None, metavar=("LOW", "HIGH")
    )

    channel: int | None = option("which one is read, counted from 0", None, least=0, unset="the only one")
    time: int | None = option("time point that is read, counted from 0", None, least=0, unset="the only one")
    axes: str | None = option("letters of the axes as they are stored, such as czyx", None, unset="as the file says")
    missing: Literal["refuse", "fill"] = option(
        "what was never stored: refuse the file, or take it for the fill value, which is usually black",
        "refuse",
        noun="value of --missing",
    )

    @property
    def reading(self) -> Reading:
        """What else the user says about files."""
        from vemrecon.volume import Reading

        return Reading(self.channel, self.time, self.axes, self.missing)

    @property
    def voxels(self) -> VoxelSize | None:
        """The voxel size.

        Raises:
            DataError: If an edge is not positive.
        """
        from vemrecon.volume import VoxelSize

        return VoxelSize(*self.voxel_size) if self.voxel_size else None


@dataclass(frozen=True, kw_only=True)
class RootOptions(Options):
    """Where the files of datasets are."""

    data_root: Path | None = option("folder of dataset files", None, unset="$VEMRECON_DATA, then a cache")
