"""The isotropic volume as a file, and the folder that an interrupted reconstruction goes on from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from vemrecon.files import digest_of, make_folder
from vemrecon.locks import exclusive
from vemrecon.own.steps import Ready
from vemrecon.own.wish import Wish
from vemrecon.progress import Progress
from vemrecon.volume import Made, Volume, open_volume, write_volume
from vemrecon.volume.ome_zarr import Version
from vemrecon.volume.volume import moved


def reconstruct_file(
    ready: Ready,
    work: Path,
    outputs: Sequence[Path],
    progress: Progress,
    *,
    made: Made,
    ome_zarr: Version | None = None,
    dask: Any = None,
) -> Volume:
    """Write the isotropic volume; an interrupted reconstruction goes on where it stopped.

    Args:
        ready: What is computed.
        work: Working folder; removed at the end.
        outputs: Of the reconstruction and, if wanted, of its uncertainty.
        progress: Told phase and finished share.
        made: What the outputs say about how they were made.
        ome_zarr: Version of OME-Zarr for outputs that end in .zarr.
        dask: Who makes the blocks, see `Ready.workers`.

    Returns:
        The reconstruction as written.

    Raises:
        ConfigError: If the uncertainty is wanted of a method that has none.
    """
    from vemrecon.infer.reconstruct import reconstruct_volume

    make_folder(work)
    volume = ready.volume
    parts = [work / "reconstruction.zarr", work / "uncertainty.zarr"][: len(outputs)]
    in_place = outputs[0].suffix == ".zarr" and ome_zarr != "0.4" and ready.resampling is None
    with ready.workers(dask, work) as workers:
        reconstruct_volume(
            ready.method,
            ready.observed,
            parts[0],
            like=volume,
            uncertainty=parts[1] if len(parts) > 1 else None,
            devices=ready.wish.here,
            pyramid=in_place,
            most=ready.most,
            region=ready.part,
            name=outputs[0].stem,
            facts=made.facts(replace(volume, grid=None), volume.dtype, volume.span),
            workers=workers,
            progress=lambda share: progress("reconstruct", share),
        )
    spans = (volume.intensity_range, None)  # the uncertainty is kept in [0, 1]
    hows = (made, Made({**made.how, "holds": "uncertainty"}))
    for path, part, span, how in list(zip(outputs, parts, spans, hows, strict=False))[in_place:]:
        progress(f"write {path.name}", 0.0)
        found = ready.resampled(open_volume(part, intensity_range=span))
        write_volume(path, found, volume.dtype, volume.span, how, ome_zarr=ome_zarr)
    if in_place:
        parts[0].rename(outputs[0])
    result = open_volume(outputs[0], intensity_range=volume.intensity_range)
    shutil.rmtree(work, ignore_errors=True)
    return result


def reconstruct_sections(
    ready: Ready, work: Path, out: Path, progress: Progress, *, made: Made, ome_zarr: Version | None = None
) -> Volume:
    """Write the stack of the sections that `Wish.at` names, in its order.

    Its voxels are as thick as sections are apart where that is the same everywhere, and else as isotropic ones.

    Args:
        ready: What is computed.
        work: Working folder; removed at the end.
        out: The stack.
        progress: Told phase and finished share.
        made: What it says about how it was made; also holds the positions.
        ome_zarr: Version of OME-Zarr, if it ends in .zarr.

    Returns:
        The stack as written.
    """
    from vemrecon.infer.at_depths import make_sections

    volume, observed, at = ready.volume, ready.observed, ready.wish.at
    sections = make_sections(
        ready.method,
        observed,
        at,
        work,
        device=ready.wish.here[0],
        region=ready.region,
        progress=lambda share: progress("reconstruct", share),
    )
    steps = {round(b - a, 9) for a, b in pairwise(at)}
    apart = min(steps) if len(steps) == 1 and min(steps) > 0 else 1 / observed.require_grid().scale
    size = observed.voxel_size and observed.voxel_size.scaled(0, apart)
    start = ready.region.start[1:] if ready.region else (0, 0)
    origin = moved(observed.origin, (at[0], *start), observed.voxel_size)
    progress(f"write {out.name}", 0.0)
    stack = Volume(sections, size, out.stem, intensity_range=(0.0, 1.0), origin=origin, stated=True)
    write_volume(out, stack, volume.dtype, volume.span, made, ome_zarr=ome_zarr)
    shutil.rmtree(work, ignore_errors=True)
    return open_volume(out, intensity_range=volume.intensity_range)


def work_folder(out: Path, wish: Wish, volume: Volume, source: Mapping[str, Any]) -> Path:
    """Where training and reconstruction are kept until the output is whole.

    Its name depends on everything that decides the voxels, so that no other request goes on with what this one left;
    not on memory, which only decides how they are cut into blocks.

    Args:
        out: The reconstruction.
        wish: What is wanted.
        volume: Knows where its sections lie.
        source: What identifies the file that it was read from, see `stamped`.
    """
    return out.with_name(f".{out.name}.work-{digest_of([wish.identity(volume), source, str(out)])[:12]}")


@contextmanager
def work_place(work: Path, write: bool = True) -> Iterator[None]:
    """Keep all others out of a working folder while it is used; without `write` it is not even made.

    It does not stay where nothing was computed.

    Raises:
        ConfigError: If another process uses it.
    """
    with exclusive(work / "lock", f"{work}, the working folder of this reconstruction,") if write else nullcontext():
        try:
            yield
        finally:
            if write and not any(map(Path.is_dir, work.glob("*"))):
                shutil.rmtree(work, ignore_errors=True)


def emptied(work: Path) -> None:
    """Remove what an earlier attempt has left in a working folder that is held."""
    for inside in work.iterdir():
        if inside.is_dir():
            shutil.rmtree(inside)
        elif inside.suffix == ".log":
            inside.unlink()


def stamped(path: Path, source: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies a file: its content as far as `source_of` reads it, its place, and when it was changed."""
    return {**source, "path": str(path.resolve()), "changed": path.stat().st_mtime_ns}
