"""The phases of a run. Each leaves a finished mark with its key, and is skipped when the mark fits."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.bench.changes import CODE
from vemrecon.bench.job import Job
from vemrecon.bench.repair import repaired
from vemrecon.bench.result import Costs
from vemrecon.bench.spec import BF16
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes
from vemrecon.environment import environment
from vemrecon.files import digest_of, write_json
from vemrecon.kept import read_mark, set_aside, write_mark
from vemrecon.metrics.score import Score
from vemrecon.plugins import code_digest
from vemrecon.processes import peak_memory
from vemrecon.progress import Progress
from vemrecon.volume import Volume, open_volume

if TYPE_CHECKING:
    from vemrecon.methods.base import Method

LOG = logging.getLogger(__name__)
RECONSTRUCTION, UNCERTAINTY = "reconstruction.zarr", "uncertainty.zarr"


def reconstruct(folder: RunFolder, job: Job, method: Method, volumes: TaskVolumes, progress: Progress) -> None:
    """Write reconstruction.zarr (and uncertainty.zarr, if there is one and it is scored) and the finished mark."""
    from vemrecon.infer.reconstruct import damaged_files, reconstruct_volume
    from vemrecon.methods.applied import Applied

    path, mark = folder.path / RECONSTRUCTION, folder.path / "reconstruction.json"
    uncertainty = folder.path / UNCERTAINTY
    spread = uncertainty if keeps_uncertainty(folder) and method.has_spread else None
    key = digest_of({"run": folder.spec.run_id, "tile": method.tile.as_dict()})
    known = read_mark(mark)
    if mark.exists() and not known:
        set_aside(mark, "what it is of is checked")
    if known.get("key") == key:
        bad = damaged_files(method, volumes.observed, path, like=volumes.like, axis=volumes.axis, uncertainty=spread)
        if not bad:
            return
        LOG.warning("%s: damaged, made again: %s", path, ", ".join(bad))
    mark.unlink(missing_ok=True)
    if spread is None:
        shutil.rmtree(uncertainty, ignore_errors=True)  # one that is no longer asked for would be scored
    clock, memory = SpentSeconds(folder.path / "reconstruction-seconds.json", key), peak_memory()

    def told(share: float) -> None:
        clock.note(every=1.0)
        progress("reconstruct", share)

    reconstruct_volume(
        Applied(method, short=True).eval() if folder.spec.precision == BF16 else method,
        repaired(folder, method, volumes, progress),
        path,
        like=volumes.like,
        axis=volumes.axis,
        uncertainty=spread,
        devices=[job.device],
        progress=told,
    )
    write_mark(
        mark,
        {
            "key": key,
            "seconds": clock.note(),
            "peak_memory_bytes": max(0, peak_memory() - memory),
            "parameters": method.parameter_count(),
            CODE: code_digest(folder.spec.method.class_path),
            "environment": environment() | {"device": job.device},
        },
    )


class SpentSeconds:
    """Seconds that all attempts at a phase have taken, kept in a file.

    Args:
        path: Of the file.
        key: Of the phase; what another one took does not count.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key, self.clock = path, key, time.perf_counter()
        known = read_mark(path)
        if path.exists() and not known:
            set_aside(path, "what earlier attempts took is not known any more")
        self.before = float(known["seconds"]) if known.get("key") == key else 0.0
        self.noted = self.clock

    def note(self, every: float = 0.0) -> float:
        """Keep them, unless they were kept less than `every` seconds ago."""
        now = time.perf_counter()
        spent = self.before + now - self.clock
        if now - self.noted >= every:
            self.noted = now
            write_mark(self.path, {"key": self.key, "seconds": spent})
        return spent


def keeps_uncertainty(folder: RunFolder) -> bool:
    """Whether the uncertainty of a method is stored: always where nothing else is known, else if it is to be scored."""
    return folder.spec.task.kind == "native" or "uncertainty" in folder.spec.metrics


def score(folder: RunFolder, job: Job, method: Method, volumes: TaskVolumes, progress: Progress) -> tuple[Score, ...]:
    """Score the stored reconstruction; writes curves.json and sections.npz."""
    from vemrecon.bench.scoring import scored
    from vemrecon.bench.sections import write_sections

    made = reconstruction(folder, volumes)
    found = scored(folder, job, method, volumes, made, uncertainty(folder), progress)
    write_json(folder.path / "curves.json", found.curves | {"training": training_curves(folder)})
    write_sections(folder.path / "sections.npz", volumes, made)
    return found.scores


def uncertainty(folder: RunFolder) -> Volume | None:
    """The stored uncertainty; None if the method has none, or nothing asked for it."""
    path = folder.path / UNCERTAINTY
    return open_volume(path) if path.exists() else None


def reconstruction(folder: RunFolder, volumes: TaskVolumes, path: Path | None = None) -> Volume:
    """The stored reconstruction, or that of another file, with the voxel size that it has by the task."""
    like = volumes.like
    size = like.require_voxel_size()
    if volumes.truth is None:
        size = size.scaled(volumes.axis, 1 / folder.spec.task.scale)
    made = open_volume(path or folder.path / RECONSTRUCTION, intensity_range=like.intensity_range)
    return replace(made, voxel_size=size)


def training_curves(folder: RunFolder) -> dict[str, Any]:
    """Loss and validation numbers of every stage: stage -> name -> {batch, value}."""
    from vemrecon.fit.callbacks import read_log

    return {
        log.parent.name: {name: {"batch": b, "value": v} for name, (b, v) in read_log(log).items()}
        for log in sorted(folder.path.glob("train/*/loss.csv"))
    }


def environments(folder: RunFolder) -> dict[str, Mapping[str, Any]]:
    """Where training and reconstruction were finished; empty where that is not known."""
    learned = folder.path / "train" / "environment.json"
    if learned.exists() and not read_mark(learned):
        set_aside(learned, "where the method was trained is not known any more")
    made = read_mark(folder.path / "reconstruction.json").get("environment", {})
    return {"train": read_mark(learned), "reconstruct": made}


def phase_costs(folder: RunFolder) -> Costs:
    """Costs that the finished marks of the phases tell."""
    mark = read_mark(folder.path / "reconstruction.json")
    stages = [read_mark(path) for path in sorted(folder.path.glob("train/*/stage.json"))]
    return Costs(
        train_seconds=float(sum(stage.get("seconds", 0.0) for stage in stages)),
        train_device_seconds=float(sum(stage.get("seconds", 0.0) * stage.get("devices", 1) for stage in stages)),
        reconstruct_seconds=mark["seconds"],
        peak_memory_bytes=mark["peak_memory_bytes"],
        parameters=mark["parameters"],
    )
