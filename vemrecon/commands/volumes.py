"""The commands on single files: reconstruct, degrade, evaluate, import-weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vemrecon.bench.request import known_degradations, known_metrics, known_presets, read_scale
from vemrecon.commands.options import device_of, require_devices, settings
from vemrecon.commands.pairs import open_pair, say_notes
from vemrecon.errors import ConfigError
from vemrecon.file_options import RECONSTRUCTION_RANGE, FileOptions, range_option, read_range_words
from vemrecon.options import Options, option
from vemrecon.volume.grid import GRID_KINDS

if TYPE_CHECKING:
    pass

OUTPUT = ".zarr (OME-Zarr), .tif (OME-TIFF that ImageJ reads too), .h5 or .mrc"


def known_dtypes() -> Iterable[str]:
    """Types of grey levels."""
    from vemrecon.volume.volume import GREY_DTYPES

    return GREY_DTYPES


def version_option() -> Any:
    """The version of OME-Zarr that is written."""
    return option("version of OME-Zarr to write, for readers of zarr 2", None, noun="value of --ome-zarr", unset="0.5")


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions(FileOptions):
    """Options of `reconstruct`."""

    input: Path = option("anisotropic volume, any readable format (see `vemrecon formats`)", positional=True)
    output: Path = option(f"isotropic volume to write: {OUTPUT}", positional=True)
    method: str = option("name (see `vemrecon methods`) or class path", "bicubic")
    scale: float | None = option("sections to make of one", None, read=read_scale, unset="the anisotropy of the voxels")
    weights: Path | None = option("weights.safetensors of a run, or of `vemrecon import-weights`", None)
    train: str | None = option(
        "train on this volume first, with this preset", None, choices=known_presets, noun="preset"
    )
    grid: str | None = option(
        "centred (thick sections) or aligned (kept thin ones)",
        None,
        choices=GRID_KINDS,
        noun="grid",
        unset="as the file says",
    )
    missing_sections: str = option(
        "numbers of sections to fill first, such as 11,40, or auto for those that are not stored, black or constant "
        "(isovem-plus)",
        "",
    )
    uncertainty: Path | None = option("also write the spread over rotations or samples, as OUTPUT", None)
    seed: int = option("seed of the training", 0, least=0)
    set: Mapping[str, Any] = option(
        "ARGUMENT=VALUE of the method", factory=dict, metavar="ARGUMENT=VALUE", read=settings
    )
    device: str = option("cpu, cuda or cuda:N", "cpu", read=device_of)
    memory: str | None = option(
        "most that the process may take, such as 2GiB", None, unset="about 1 GiB for the voxels"
    )
    region: tuple[str, str, str] | None = option(
        "reconstruct a part alone, in voxels of the input, such as 10:40 : 200:456",
        None,
        metavar=("Z", "Y", "X"),
        unset="all",
    )
    dry_run: bool = option("say what it would take (time, memory, disk) and stop", False)
    ome_zarr: Literal["0.5", "0.4"] | None = version_option()
    dataset: str | None = option("name inside a file or folder that holds several", None)


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


def reconstruct(options: ReconstructOptions) -> int:
    """Make one volume isotropic."""
    from vemrecon.commands.bars import PhaseBar
    from vemrecon.commands.estimates import estimate_lines
    from vemrecon.commands.prepare import byte_count
    from vemrecon.commands.provenance import reconstruction_made
    from vemrecon.data.damage import examined
    from vemrecon.infer import inpainting
    from vemrecon.infer.estimate import estimate, most_voxels
    from vemrecon.own.method import check_wishes, prepare_method
    from vemrecon.own.missing import AUTO, reading_to_fill, sections_to_fill
    from vemrecon.own.reconstruction import reconstruct_file, work_folder
    from vemrecon.own.sections import open_anisotropic
    from vemrecon.volume import Region, require_output

    check_wishes(
        options.method,
        train=options.train,
        weights=options.weights,
        overrides=options.set,
        scale=options.scale,
        uncertainty=options.uncertainty is not None,
        missing=bool(options.missing_sections),
    )
    outputs = [path for path in (options.output, options.uncertainty) if path]
    for path in outputs:
        require_output(path, options.ome_zarr)
    require_devices([options.device])
    memory = byte_count("--memory", options.memory) if options.memory else None
    auto = options.missing_sections == AUTO
    volume = open_anisotropic(
        options.input,
        options.dataset,
        grid=options.grid,
        scale=options.scale,
        voxel_size=options.voxels,
        intensity_range=options.grey_range,
        reading=reading_to_fill(options.reading) if auto else options.reading,
    )
    region = Region.read(options.region, volume.shape) if options.region else None
    say_notes([volume])
    missing = [] if auto else inpainting.parse_sections(options.missing_sections, volume.shape[0])
    work = work_folder(options.output, _asked(options))
    with PhaseBar() as bar:
        if not options.dry_run:
            _, damage = examined(volume, bar.progress)
            if auto:
                missing = sections_to_fill(options.input, options.dataset, options.reading, volume, damage)
            say_notes([replace(volume, notes=tuple(damage.warnings(missing)))])
        method = prepare_method(
            options.method,
            inpainting.without_sections(volume, missing) if missing else volume,
            train=options.train,
            weights=options.weights,
            scratch=work / "train",
            seed=options.seed,
            overrides=options.set,
            device=options.device,
            progress=bar.progress,
            learn=not options.dry_run,
        )
        most = None if memory is None else most_voxels(memory, method, volume, len(outputs) > 1)
        if options.dry_run:
            bar.progress("one tile", 0.0)
            taken = estimate(method, volume, options.device, most, len(outputs) > 1, region)
            bar.close()
            print("\n".join(estimate_lines(taken, options.output)))
            return 0
        observed, filled = inpainting.fill_sections(method, options.method, volume, missing)
        made = reconstruction_made(options, observed)
        result = reconstruct_file(
            work, outputs, volume, observed, method, options.device, bar.progress, made=made,
            ome_zarr=options.ome_zarr, most=most, region=region,
        )  # fmt: skip
    for found in filled:
        print(found)
    for path in outputs:
        print(f"{path}: {' x '.join(map(str, result.shape))} voxels of {result.voxel_size or 'unknown size'}")
    return 0


def _asked(options: ReconstructOptions) -> dict[str, Any]:
    """Everything that decides a reconstruction: options, and which files they name."""
    from vemrecon.volume.made import source_of

    files = [path for path in (options.input, options.weights) if path is not None and path.exists()]
    stamps = [[str(path.resolve()), path.stat().st_mtime_ns, source_of(path)] for path in files]
    return {"options": {name: str(value) for name, value in vars(options).items()}, "files": stamps}


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
