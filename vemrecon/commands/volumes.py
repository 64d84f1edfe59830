"""The commands on single files: degrade, evaluate, import-weights."""

from __future__ import annotations

from dataclasses import replace

from vemrecon.commands.pairs import open_pair, say_notes
from vemrecon.commands.volume_options import DegradeOptions, EvaluateOptions, ImportOptions
from vemrecon.errors import ConfigError


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
