"""What the commands on single files are asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vemrecon.bench.request import known_degradations, known_metrics, read_scale
from vemrecon.commands.options import settings
from vemrecon.file_options import (
    OUTPUT,
    RECONSTRUCTION_RANGE,
    FileOptions,
    range_option,
    read_range_words,
    version_option,
)
from vemrecon.options import Options, option


def known_dtypes() -> Collection[str]:
    """Types of grey levels."""
    from vemrecon.volume.volume import GREY_DTYPES

    return GREY_DTYPES


@dataclass(frozen=True, kw_only=True)
class ImportOptions(Options):
    """Options of `import-weights`."""

    method: str = option("vemamba, isovem, cyclegan-ir, irsde, emdiffuse-i or emdiffuse-a", positional=True)
    file: Path = option("the authors' state dict: a torch or safetensors file", positional=True)
    output: Path = option("weights.safetensors to write, for `reconstruct --weights`", positional=True)
    encoder: Path | None = option("state dict of VEMamba's degradation encoder", None)


@dataclass(frozen=True, kw_only=True)
class DegradeOptions(FileOptions):
    """Options of `degrade`."""

    input: Path = option("isotropic volume, any readable format (see `vemrecon formats`)", positional=True)
    output: Path = option(f"anisotropic volume to write: {OUTPUT}", positional=True)
    scale: float = option("anisotropy factor", read=read_scale)
    degradation: str = option("how resolution is removed", "average", choices=known_degradations, noun="degradation")
    axis: Literal["z", "y", "x"] = option("axis to degrade", "z", noun="axis")
    seed: int = option("seed of the noise of realistic degradations", 0, least=0)
    set: Mapping[str, Any] = option(
        "ARGUMENT=VALUE of the degradation, such as offset=2", factory=dict, metavar="ARGUMENT=VALUE", read=settings
    )
    ome_zarr: Literal["0.5", "0.4"] | None = version_option()
    dtype: str | None = option(
        "grey levels to write", None, choices=known_dtypes, noun="dtype", unset="those of the input"
    )
    dataset: str | None = option("name inside a file or folder that holds several", None)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(FileOptions):
    """Options of `evaluate`."""

    truth: Path = option("isotropic truth, any readable format", positional=True)
    reconstruction: Path = option("volume of the same shape (or shorter in z, with --trim)", positional=True)
    metrics: tuple[str, ...] = option(
        "metrics to score", (), choices=known_metrics, noun="metric", unset="those of the protocol"
    )
    scale: float | None = option(
        "anisotropy factor of the input, for layering measures and the scored ranges", None, read=read_scale
    )
    degradation: str | None = option(
        "subsample: leave kept sections out of xy means, and score the span too",
        None,
        choices=known_degradations,
        noun="degradation",
    )
    set: Mapping[str, Any] = option(
        "ARGUMENT=VALUE of the degradation, such as offset=2", factory=dict, metavar="ARGUMENT=VALUE", read=settings
    )
    trim: bool = option("score the first sections only when the reconstruction is shorter", False)
    reconstruction_range: tuple[Any, ...] | None = range_option(
        "grey values of the reconstruction that mean black and white", "that of a truth of the same type"
    )
    truth_dataset: str | None = option("name inside a file or folder that holds several", None)
    reconstruction_dataset: str | None = option("name inside a file or folder that holds several", None)
    json: Path | None = option("also write all scores and curves to this file", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        read_range_words(RECONSTRUCTION_RANGE, self.reconstruction_range)
