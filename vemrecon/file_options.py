"""Options that several commands have in common: what a user says about files, and where files of datasets are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vemrecon.errors import ConfigError
from vemrecon.options import Options, option

if TYPE_CHECKING:
    from vemrecon.volume import Edges, RangeRule, Reading


INTENSITY_RANGE, RECONSTRUCTION_RANGE, OBSERVED_RANGE = (
    "--intensity-range",
    "--reconstruction-range",
    "--observed-range",
)
RANGES = (INTENSITY_RANGE, RECONSTRUCTION_RANGE, OBSERVED_RANGE)
"""Options that state grey ranges."""
OUTPUT = ".zarr (OME-Zarr), .tif (OME-TIFF that ImageJ reads too), .h5, .mrc, .n5 or .precomputed (neuroglancer)"


def range_word(word: Any) -> float | str:
    """A number, or a word of a range."""
    try:
        return float(word)
    except (TypeError, ValueError):
        return str(word).lower()


def size_word(word: Any) -> float | str:
    """A number of nm, or one of an axis as `z=40`.

    Raises:
        ConfigError: If it is neither.
    """
    text = str(word).strip().lower()
    axis, equals, value = text.rpartition("=")
    try:
        if isinstance(word, bool) or (equals and axis not in ("z", "y", "x")):
            raise ValueError
        number = float(value)
    except ValueError as error:
        what = "a number of nm" if equals else "a number"
        raise ConfigError(f"--voxel-size {word}: must be {what}; give Z Y X, or axes by name such as z=40") from error
    return f"{axis}={value}" if equals else number


def range_option(help: str, unset: str = "the range of the type, where the values fill it") -> Any:
    """An option that states a grey range."""
    text = f"{help}; or auto (smallest bit depth that holds the data), or percentile P Q"
    return option(text, None, metavar=("LOW", "HIGH"), read=range_word, unset=unset)


def version_option() -> Any:
    """The version of OME-Zarr that is written."""
    return option("version of OME-Zarr to write, for readers of zarr 2", None, noun="value of --ome-zarr", unset="0.5")


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

    voxel_size: tuple[Any, ...] | None = option(
        "nm along z, y and x, where a file does not say it; or single axes, such as z=40",
        None,
        metavar=("Z", "Y X"),
        read=size_word,
        unset="as the file says",
    )
    square_pixels: bool = option("interpolate the coarser of y and x, where pixels are not square", False)
    channel: int | None = option("which one is read, counted from 0", None, least=0, unset="the only one")
    time: int | None = option("time point that is read, counted from 0", None, least=0, unset="the only one")
    axes: str | None = option("letters of the axes as they are stored, such as czyx", None, unset="as the file says")
    missing: Literal["refuse", "fill", "exclude"] = option(
        "what was never stored: refuse the file, take it for the fill value (usually black), or read only the longest "
        "run of whole sections",
        "refuse",
        noun="value of --missing",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.voxel_size or ()
        axes = [word.partition("=")[0] for word in size if isinstance(word, str)]
        text = " ".join(f"{word:g}" if isinstance(word, float) else word for word in size)
        if len(set(axes)) < len(axes) or (axes and len(axes) < len(size)):
            raise ConfigError(f"--voxel-size {text}: must be three numbers, or every axis once by name, such as z=40")
        if size and not axes and len(size) != 3:
            raise ConfigError(f"--voxel-size {text}: must be 3 values, not {len(size)}, or axes by name such as z=40")

    @property
    def reading(self) -> Reading:
        """What the user says about files beside the voxel size."""
        from vemrecon.volume import Reading

        return Reading(self.channel, self.time, self.axes, self.missing, self.square_pixels)

    @property
    def voxels(self) -> Edges | None:
        """The voxel size, or those of its edges that are given.

        Raises:
            DataError: If an edge is not positive.
        """
        from vemrecon.volume.edges import read_size

        return read_size(self.voxel_size) if self.voxel_size else None


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
