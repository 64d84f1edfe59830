"""The commands on single files: reconstruct, degrade, evaluate, import-weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vemrecon.commands.options import devices, integer, intensity_range, settings, voxel_size, words
from vemrecon.errors import ConfigError, DataError, unknown

if TYPE_CHECKING:
    from vemrecon.volume import Region, SectionGrid, Volume


def reconstruct(options: Any) -> int:
    """Make one volume isotropic."""
    from vemrecon.bench import inpainting, single
    from vemrecon.progress import PhaseBar
    from vemrecon.volume import output_format

    if options.weights and options.train:
        raise ConfigError("give --weights or --train, not both")
    outputs = {path: output_format(path) for path in (options.output, options.uncertainty) if path}
    (device,) = devices([options.device])
    volume = single.open_anisotropic(
        options.input,
        options.dataset,
        grid=options.grid,
        scale=options.scale,
        voxel_size=voxel_size(options.voxel_size),
        intensity_range=intensity_range(options.intensity_range),
    )
    missing = inpainting.parse_sections(options.missing_sections or "", volume.shape[0])
    work = single.work_folder(options.output, _asked(options))
    with PhaseBar() as bar:
        method = single.prepare_method(
            options.method,
            inpainting.without_sections(volume, missing) if missing else volume,
            train=options.train,
            weights=options.weights,
            scratch=work / "train",
            seed=integer("--seed", options.seed),
            overrides=settings(options.set),
            device=device,
            progress=bar.progress,
        )
        observed, filled = inpainting.fill_sections(method, options.method, volume, missing)
        result = single.reconstruct_file(work, outputs, volume, observed, method, device, bar.progress)
    for found in filled:
        print(found)
    for path in outputs:
        print(f"{path}: {' x '.join(map(str, result.shape))} voxels of {result.voxel_size or 'unknown size'}")
    return 0


def _asked(options: Any) -> dict[str, Any]:
    """Everything that decides a reconstruction: options, and which files they name."""
    files = [path for path in (options.input, options.weights) if path is not None]
    stamps = [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in files if p.exists()]
    return {"options": {name: str(value) for name, value in vars(options).items()}, "files": stamps}


def import_weights(options: Any) -> int:
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


def degrade(options: Any) -> int:
    """Write an anisotropic volume."""
    import numpy as np

    from vemrecon.degrade import degrade as degraded
    from vemrecon.degrade import make_degradation
    from vemrecon.volume import open_volume, output_format, require_content
    from vemrecon.volume.ome_zarr import copy_to_zarr
    from vemrecon.volume.tiff import write_tiff
    from vemrecon.volume.volume import GREY_DTYPES

    if options.axis not in ("z", "y", "x"):
        raise unknown("axis", options.axis, "zyx")
    if options.dtype is not None and options.dtype not in GREY_DTYPES:
        raise unknown("dtype", options.dtype, GREY_DTYPES)
    degradation = make_degradation(options.degradation, options.scale, settings(options.set))
    size, span = voxel_size(options.voxel_size), intensity_range(options.intensity_range)
    volume = open_volume(options.input, options.dataset, voxel_size=size, intensity_range=span)
    kind = output_format(options.output)
    require_content(volume)
    observed = degraded(volume, degradation, axis="zyx".index(options.axis), seed=integer("--seed", options.seed))
    dtype = np.dtype(options.dtype or volume.dtype)
    spread = volume.intensity_range if dtype == volume.dtype else None
    (copy_to_zarr if kind == "zarr" else write_tiff)(options.output, observed, dtype, spread)
    shape, voxel = " x ".join(map(str, observed.shape)), observed.voxel_size or "unknown size"
    print(f"{options.output}: {shape} voxels of {voxel}, {degradation.grid.kind} sections")
    return 0


def evaluate(options: Any) -> int:
    """Score one file against another."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon import protocol
    from vemrecon.files import write_json
    from vemrecon.metrics.evaluate import evaluate as score
    from vemrecon.metrics.score import SIGNS
    from vemrecon.volume import open_volume, require_content

    size, span = voxel_size(options.voxel_size), intensity_range(options.intensity_range)
    truth = open_volume(options.truth, options.truth_dataset, voxel_size=size, intensity_range=span)
    reconstruction = open_volume(options.reconstruction, options.reconstruction_dataset, intensity_range=span)
    truth.require_voxel_size()
    reconstruction = replace(reconstruction, voxel_size=truth.voxel_size)
    require_content(truth)
    truth = _trimmed_like(truth, reconstruction) if options.trim else truth
    ranges, kept, grid = _ranges(truth, options.scale, options.degradation)
    result = score(
        truth,
        reconstruction,
        metrics=words(options.metrics) or tuple(protocol.protocol()["metrics"]["reference"]),
        ranges=ranges,
        kept_sections=kept,
        grid=grid,
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
            {"schema": 2, "scores": [row.as_dict() for row in result.scores], "curves": result.curves},
        )
    return 0


def _ranges(
    truth: Volume, scale: str | None, degradation: str | None
) -> tuple[dict[str, Region], list[int], SectionGrid | None]:
    from vemrecon.bench.scoring import scored_ranges
    from vemrecon.degrade import check_scale, make_degradation
    from vemrecon.volume import SectionGrid

    if degradation is None:
        return {"all": truth.whole}, [], SectionGrid.slabs(check_scale(scale)) if scale else None
    if scale is None:
        raise ConfigError("--degradation needs --scale, the anisotropy factor of the input")
    kind = make_degradation(degradation, check_scale(scale))
    if truth.shape[0] < kind.scale:
        raise DataError(f"{truth.name}: {truth.shape[0]} sections are fewer than the scale {kind.scale:g}")
    ranges, kept = scored_ranges(truth, kind, kind.sections(truth.shape[0]))
    return ranges, kept, kind.grid


def _trimmed_like(truth: Volume, reconstruction: Volume) -> Volume:
    from vemrecon.volume import Region

    sections = min(truth.shape[0], reconstruction.shape[0])
    return truth.crop(Region((0, 0, 0), (sections, *truth.shape[1:])))
