"""The isotropic volume as a file, and the folder that an interrupted reconstruction goes on from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vemrecon.files import digest_of, make_folder
from vemrecon.infer.tiles import FILE_VOXELS
from vemrecon.methods.base import Method
from vemrecon.progress import Progress
from vemrecon.volume import Made, Region, Volume, open_volume, write_volume
from vemrecon.volume.ome_zarr import Version


def reconstruct_file(
    work: Path,
    outputs: Sequence[Path],
    volume: Volume,
    observed: Volume,
    method: Method,
    device: str,
    progress: Progress,
    *,
    made: Made | None = None,
    ome_zarr: Version | None = None,
    most: int | None = None,
    region: Region | None = None,
) -> Volume:
    """Write the isotropic volume; an interrupted reconstruction goes on where it stopped.

    Args:
        work: Working folder; removed at the end.
        outputs: Of the reconstruction and, if wanted, of its uncertainty.
        volume: The anisotropic volume as it was given; tells dtype and intensity range.
        observed: The same with missing sections filled.
        method: Ready to reconstruct.
        device: Where it runs.
        progress: Told phase and finished share.
        made: What the outputs say about how they were made.
        ome_zarr: Version of OME-Zarr for outputs that end in .zarr.
        most: Voxels of a block, which bounds the memory.
        region: What is reconstructed, in observed voxels; by default all.

    Returns:
        The reconstruction as written.

    Raises:
        ConfigError: If the uncertainty is wanted of a method that has none.
    """
    from vemrecon.infer.reconstruct import reconstruct_volume

    make_folder(work)
    parts = [work / "reconstruction.zarr", work / "uncertainty.zarr"][: len(outputs)]
    spread = parts[1] if len(parts) > 1 else None
    made = made or Made()
    in_place = outputs[0].suffix == ".zarr" and ome_zarr != "0.4"
    reconstruct_volume(
        method,
        observed,
        parts[0],
        like=volume,
        uncertainty=spread,
        device=device,
        most=most or FILE_VOXELS,
        region=region,
        name=outputs[0].stem,
        facts=made.facts(replace(volume, grid=None), volume.dtype, volume.span),
        progress=lambda share: progress("reconstruct", share),
    )
    spans = (volume.intensity_range, None)  # the uncertainty is kept in [0, 1]
    hows = (made, Made({**made.how, "holds": "uncertainty"}))
    for path, part, span, how in list(zip(outputs, parts, spans, hows, strict=False))[in_place:]:
        progress(f"write {path.name}", 0.0)
        write_volume(path, open_volume(part, intensity_range=span), volume.dtype, volume.span, how, ome_zarr=ome_zarr)
    if in_place:
        parts[0].rename(outputs[0])
    result = open_volume(outputs[0], intensity_range=volume.intensity_range)
    shutil.rmtree(work, ignore_errors=True)
    return result


def work_folder(out: Path, request: Mapping[str, Any]) -> Path:
    """Where training and reconstruction are kept until the output is whole.

    Its name depends on everything that was asked for, so that no other request goes on with what this one left.
    """
    return out.with_name(f".{out.name}.work-{digest_of(request)[:12]}")
