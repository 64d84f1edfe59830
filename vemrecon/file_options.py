"""Options that several commands have in common: what a user says about files, and where files of datasets are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vemrecon.options import Options, option

if TYPE_CHECKING:
    from vemrecon.volume import RangeRule, Reading, VoxelSize


INTENSITY_RANGE, RECONSTRUCTION_RANGE, OBSERVED_RANGE = (
    "--intensity-range",
    "--reconstruction-range",
    "--observed-range",
)
RANGES = (INTENSITY_RANGE, RECONSTRUCTION_RANGE, OBSERVED_RANGE)
"""Options that state grey ranges."""


def range_word(word: Any) -> float | str:
    """A number, or a word of a range."""
    try:
        return float(word)
    except (TypeError, ValueError):
        return str(word).lower()


def range_option(help: str, unset: str = "the range of the type, where the values fill it") -> Any:
    """An option that states a grey range."""
    text = f"{help}; or auto (smallest bit depth that holds the data), or percentile P Q"
    return option(text, None, metavar=("LOW", "HIGH"), read=range_word, unset=unset)


def read_range_words(flag: str, words: tuple[Any, ...] | None) -> tuple[float, float] | RangeRule | None:
    """A range from the words of its option.

    Raises:
        ConfigError: If it is none.
    """
    if not words:
        return None
    from vemrecon.volume.intensity import read_range

    return read_range(flag, words)


@dataclass(frozen=True, kw_only=True)
class ReadingOptions(Options):
    """What files do not say themselves, or say wrongly, about where their voxels are."""

    voxel_size: tuple[float, float, float] | None = option(
        "nm, where a file does not say it", None, metavar=("Z", "Y", "X")
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
        """What the user says about files beside the voxel size."""
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
class FileOptions(ReadingOptions):
    """What files do not say themselves, grey levels too."""

    intensity_range: tuple[Any, ...] | None = range_option("grey values that mean black and white")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.grey_range  # refuses what is no range

    @property
    def grey_range(self) -> tuple[float, float] | RangeRule | None:
        """The intensity range, or how it is found.

        Raises:
            ConfigError: If it is none.
        """
        return read_range_words(INTENSITY_RANGE, self.intensity_range)


@dataclass(frozen=True, kw_only=True)
class RootOptions(Options):
    """Where the files of datasets are."""

    data_root: Path | None = option("folder of dataset files", None, unset="$VEMRECON_DATA, then a cache")
