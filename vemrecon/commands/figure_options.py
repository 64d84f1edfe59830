"""`FigureOptions`: what the command `figure` is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vemrecon.errors import ConfigError
from vemrecon.file_options import (
    OBSERVED_RANGE,
    RECONSTRUCTION_RANGE,
    FileOptions,
    range_option,
    read_range_words,
)
from vemrecon.options import option
from vemrecon.volume.grid import GRID_KINDS


def _planes() -> Iterable[str]:
    from vemrecon.volume.planes import PLANE_AXES

    return PLANE_AXES


def _columns() -> Iterable[str]:
    from vemrecon.figure.layout import COLUMNS

    return COLUMNS


@dataclass(frozen=True, kw_only=True)
class FigureOptions(FileOptions):
    """Runs or files to show, where, and how large."""

    output: Path = option("figure to write: .png, or .pdf with text that can be edited", positional=True)
    runs: Path = option("folder of runs", Path("runs"))
    task: str | None = option("task to show, where RUNS holds several: a folder of RUNS", None)
    methods: tuple[str, ...] = option("methods to show, in this order", (), unset="all that have finished")
    volumes: tuple[Path, ...] = option("show these reconstructions, in any format, not runs", (), whole=True)
    truth: Path | None = option("with --volumes: isotropic truth", None)
    observed: Path | None = option("with --volumes: the anisotropic volume that they were made from", None)
    grid: str | None = option(
        "of --observed: centred (thick sections) or aligned (kept thin ones)", None, choices=GRID_KINDS, noun="grid"
    )
    reconstruction_range: tuple[Any, ...] | None = range_option(
        "grey values of the --volumes that mean black and white", "that of a truth of the same type"
    )
    observed_range: tuple[Any, ...] | None = range_option(
        "grey values of --observed that mean black and white", "that of a truth of the same type"
    )
    labels: tuple[str, ...] = option("names of the reconstructions", (), whole=True, unset="of methods or files")
    planes: tuple[str, ...] = option(
        "planes to show", (), choices=_planes, noun="plane", unset="all; in lateral tasks xy, which is scored"
    )
    at: tuple[int, int, int] | None = option(
        "voxel of the truth that all planes go through",
        None,
        metavar=("Z", "Y", "X"),
        unset="the middle, in a section that was not recorded",
    )
    size: int | None = option("side of the crop in voxels along x; z and y show as many nm", None, least=1, unset="128")
    errors: bool = option("also show reconstruction minus truth", False)
    uncertainty: tuple[Path, ...] | None = option(
        "also show the uncertainty that runs have kept; or with --volumes these files, one for each, none where there "
        "is none",
        None,
        whole=True,
        bare=True,
    )
    spectrum: bool = option(
        "instead, plot the power of truth, reconstructions and errors by frequency, axial and lateral", False
    )
    segmentation: str | None = option("outline what runs found, e.g. membranes; the place is then that of masks", None)
    columns: str = option(
        "what lies beside each other, or methods with the planes below each other",
        "planes",
        choices=_columns,
        noun="kind of --columns",
    )
    scale_bar: float | None = option("length in nm", None, unset="round, at most a third of a picture")
    width: float | None = option("of the figure in mm", None, unset="180, but no picture wider than 60")
    dpi: int = option("pixels per inch", 300, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("--scale-bar", self.scale_bar), ("--width", self.width)):
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} {value:g}: must be above 0")
        read_range_words(RECONSTRUCTION_RANGE, self.reconstruction_range)
        read_range_words(OBSERVED_RANGE, self.observed_range)
