"""What a reconstruction would take, in words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vemrecon.report.columns import bytes_text, seconds_text

if TYPE_CHECKING:
    from vemrecon.infer.estimate import Estimate


def estimate_lines(found: Estimate, output: Path, resampled: bool = False) -> Iterator[str]:
    """A line for each thing that a user decides by; `resampled` tells whether another scale is made first."""

    def row(name: str, text: str) -> str:
        return f"{name:<10}{text}"

    def sides(shape: tuple[int, int, int]) -> str:
        return " x ".join(map(str, shape))

    free = shutil.disk_usage(output.resolve().parent).free
    files = "a file" if found.files == 1 else f"{found.files} files"
    enough = "" if free > found.made_bytes else ": NOT ENOUGH unless it compresses well"
    yield row("input", f"{sides(found.observed)} voxels of {found.dtype}, {bytes_text(found.observed_bytes)}")
    yield row(
        "output", f"{sides(found.made)} voxels of {found.dtype}, {bytes_text(found.made_bytes)} before compression"
    )
    if output.suffix == ".zarr" and not resampled:
        yield row("", f"written once, in {files}")
    else:
        yield row("", "written twice, as OME-Zarr beside it first: twice the space is needed")
    yield row("disk", f"{bytes_text(free)} free{enough}")
    yield row(
        "time",
        f"{seconds_text(found.seconds)} on this machine: {found.tiles} tiles of {seconds_text(found.tile_seconds)}",
    )
    yield row("", "training, reading and compressing not counted; the last two happen meanwhile")
    yield row("memory", f"{bytes_text(found.memory_bytes)} (--memory bounds it)")
