"""The observed volume of a task that removes sections, filled by the method of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes
from vemrecon.kept import intact_or_aside, remember
from vemrecon.progress import Progress, silent
from vemrecon.volume import Volume, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr

if TYPE_CHECKING:
    from vemrecon.methods.base import Method

REPAIRED = "repaired.zarr"


def repaired(folder: RunFolder, method: Method, volumes: TaskVolumes, progress: Progress = silent) -> Volume:
    """The observed volume with what is missing filled by the method; it is filled once, and kept."""
    from vemrecon.infer.inpainting import predicted, without_sections

    if not volumes.missing:
        return volumes.observed
    path, observed = folder.path / REPAIRED, volumes.observed
    if not intact_or_aside(path):
        progress("fill", 0.0)
        hidden = without_sections(observed, volumes.missing)
        copy_to_zarr(path, predicted(method, folder.spec.method.name, hidden, volumes.missing), "float32")
        remember(path)
    return replace(open_volume(path), name=f"{observed.name}, filled", grid=observed.grid)
