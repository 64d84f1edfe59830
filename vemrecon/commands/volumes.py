"""The commands on single files: degrade, evaluate, import-weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vemrecon.bench.request import known_degradations, known_metrics, read_scale
from vemrecon.commands.options import settings
from vemrecon.commands.pairs import open_pair, say_notes
from vemrecon.errors import ConfigError
from vemrecon.file_options import (
    OUTPUT,
    RECONSTRUCTION_RANGE,
    FileOptions,
    range_option,
    read_range_words,
    version_option,
)
from vemrecon.options import Options, option


def known_dtypes() -> Iterable[str]:
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


def import_weights(options: ImportOptions) -> int:
    """Convert an authors' checkpoint."""
    from vemrecon.fit.stages import save_tensors
    from vemrecon.methods.importers import import_weights as read

    if options.output.exists():
        raise ConfigError(f"{options.output}: already exists; remove it or choose another name")
    arguments, tensors = read(options.method, options.file, options.encoder)
    save_tensors(options.output, tensors, {"method": options.method, "arguments": arguments})
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{options.output}: {len(tensors)} tensors, {count} numbers, arguments {arguments}")
    return 0


def degrade(options: DegradeOptions) -> int:
    """Write an anisotropic volume."""
    import numpy as np

    from vemrecon.bench.resolve import checked_degradation
    from vemrecon.commands.provenance import degradation_made
    from vemrecon.degradations import degrade as degraded
    from vemrecon.volume import check_range, open_volume, require_content, require_output, write_volume
    from vemrecon.volume.geometry import require_square

    degradation = checked_degradation(options.degradation, options.scale, options.set)
    require_output(options.output, options.ome_zarr)
    size, span = options.voxels, options.grey_range
    volume = open_volume(options.input, options.dataset, voxel_size=size, intensity_range=span, reading=options.reading)
    require_square(volume)
    volume = replace(volume, notes=(*volume.notes, *check_range(volume)))
    say_notes([volume])
    require_content(volume)
    observed = degraded(volume, degradation, axis="zyx".index(options.axis), seed=options.seed)
    dtype = np.dtype(options.dtype or volume.dtype)
    spread = volume.intensity_range if dtype == volume.dtype else None
    made = degradation_made(options, degradation.scale)
    write_volume(options.output, observed, dtype, spread, made, ome_zarr=options.ome_zarr)
    shape, voxel = " x ".join(map(str, observed.shape)), observed.voxel_size or "unknown size"
    print(f"{options.output}: {shape} voxels of {voxel}, {degradation.grid.kind} sections")
    return 0


def evaluate(options: EvaluateOptions) -> int:
    """Score one file against another."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.bench.pair import scored_pair
    from vemrecon.files import write_json
    from vemrecon.metrics.score import SIGNS

    truth, reconstruction = open_pair(options)
    result = scored_pair(
        truth,
        reconstruction,
        metrics=options.metrics,
        scale=options.scale,
        degradation=options.degradation,
        arguments=options.set,
        trim=options.trim,
    )
    table = Table("metric", "plane", "range", "value", "unit", "std", "note", box=None, pad_edge=False)
    for row in result.scores:
        name = f"{row.metric} {row.variant}".strip()
        value = "" if row.value is None else f"{SIGNS[row.limit]}{row.value:.4f}"
        table.add_row(
            name, row.plane, row.range, value, row.unit, "" if row.std is None else f"{row.std:.4f}", row.note
        )
    Console(highlight=False).print(table)
    if options.json:
        write_json(
            options.json,
            {
                "schema": 2,
                "intensity_range": {"truth": truth.span, "reconstruction": reconstruction.span},
                "scores": [row.as_dict() for row in result.scores],
                "curves": result.curves,
            },
        )
    return 0
