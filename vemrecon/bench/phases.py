"""The phases of a run. Each leaves a finished mark with its key, and is skipped when the mark fits."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vemrecon import protocol
from vemrecon.bench.job import Job, VolumeAt
from vemrecon.bench.store import RunFolder, exclusive
from vemrecon.data.source import Source
from vemrecon.degrade import Degradation, degrade, make_degradation, reconstructed_sections, trimmed
from vemrecon.files import atomic_write, digest_of, read_json, write_json
from vemrecon.methods.registry import method_entry
from vemrecon.seeding import derive_seed
from vemrecon.volume import Region, Volume, open_volume, quantise
from vemrecon.volume.ome_zarr import copy_to_zarr

if TYPE_CHECKING:
    from vemrecon.methods.base import Method

Progress = Callable[[str, float], None]
PICTURE = 256  # voxels a side of the sections that go into the report


def task_degradation(folder: RunFolder) -> Degradation:
    """The degradation of a run's task."""
    facts = folder.spec.task.degradation
    return make_degradation(facts["name"], folder.spec.task.scale, facts.get("arguments"))


def observe(folder: RunFolder, job: Job) -> tuple[Volume, Volume]:
    """Truth and observed volume of the task. The observed one is made once and shared by all runs.

    Returns:
        The truth, cut to the sections that a reconstruction has, and the observed volume.
    """
    task = folder.spec.task
    region = trimmed(job.truth.open(), task.scale)
    with exclusive(folder.observed.with_suffix(".lock"), f"{folder.observed}", patience=3600):
        if not folder.observed.exists():
            observed = degrade(region, task_degradation(folder), seed=task.degradation_seed)
            copy_to_zarr(folder.observed, observed, "float32")
    observed = open_volume(folder.observed)
    sections = reconstructed_sections(observed.shape[0], task.scale)
    truth = region.crop(Region((0, 0, 0), (sections, *region.shape[1:])))
    return truth, replace(observed, name=f"{region.name} observed")


def method_of(folder: RunFolder) -> Method:
    """The method of a run, as it is before training."""
    from vemrecon.methods.build import build_method

    spec = folder.spec
    kind = method_entry(spec.method["entry"]).load()
    grid = task_degradation(folder).grid
    name, arguments = spec.method["name"], spec.method["arguments"]
    return build_method(kind, name, arguments, scale=spec.task.scale, grid=grid, seed=spec.seed)


def learn(folder: RunFolder, job: Job, method: Method, regime: str, progress: Progress) -> None:
    """Train all stages, or load what an earlier attempt has finished. Training-free methods return at once."""
    from vemrecon.fit.stages import save_weights, train, trained_parts

    if not method.stages():
        return
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if job.processes > 1 and world == 1 and not trained(folder, method):
        _learn_together(folder, job)
    source = learning_source(folder, job, regime)
    place = folder.path / "train"
    train(
        method,
        source,
        place,
        identity=folder.spec.run_id,
        seed=folder.spec.seed,
        device=job.device,
        devices=world,
        workers=0 if job.device == "cpu" else 4,
        loggers=job.loggers,
        progress=progress,
    )
    if int(os.environ.get("RANK", "0")) == 0:
        facts = {
            "method": folder.spec.method["entry"],
            "arguments": folder.spec.method["arguments"],
            "scale": folder.spec.task.scale,
            "grid": task_degradation(folder).grid,
        }
        save_weights(method, folder.path / "weights.safetensors", trained_parts(method), facts)


def trained(folder: RunFolder, method: Method) -> bool:
    """Whether every stage has left its finished mark."""
    return all((folder.path / "train" / stage.name / "stage.json").exists() for stage in method.stages())


def _learn_together(folder: RunFolder, job: Job) -> None:
    """Train in several processes that share every batch; they leave the finished stages in the run folder."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={job.processes}"]
    done = subprocess.run([*words, "-m", "vemrecon.bench.together", str(folder.path)], check=False)
    if done.returncode != 0:
        raise RuntimeError(f"training in {job.processes} processes failed; the reason is in {folder.path / 'log.txt'}")


def learning_source(folder: RunFolder, job: Job, regime: str) -> Source:
    """What the run may learn from: the training split (inductive), or the observed test volume (transductive)."""
    task, degradation = folder.spec.task, task_degradation(folder)

    def observed(part: VolumeAt) -> tuple[Volume, Volume]:
        truth = trimmed(part.open(), task.scale)
        return truth, degrade(truth, degradation, seed=derive_seed(task.degradation_seed, "split", part.split))

    validation = [observed(job.validation)[1]] if job.validation else []
    if job.training is None:
        return Source.of([open_volume(folder.observed)], degradation, regime, validation=validation)
    truth, sections = observed(job.training)
    return Source.of([sections], degradation, regime, truth=[truth], validation=validation)


def reconstruct(
    folder: RunFolder, job: Job, method: Method, truth: Volume, observed: Volume, progress: Progress
) -> None:
    """Write reconstruction.zarr and its finished mark."""
    from vemrecon.infer.reconstruct import reconstruct_volume

    mark = folder.path / "reconstruction.json"
    key = digest_of({"run": folder.spec.run_id, "tile": asdict(method.tile)})
    if mark.exists() and read_json(mark).get("key") == key and (folder.path / "reconstruction.zarr").exists():
        return
    mark.unlink(missing_ok=True)
    clock, memory = time.perf_counter(), peak_memory()
    reconstruct_volume(
        method,
        observed,
        folder.spec.task.scale,
        folder.path / "reconstruction.zarr",
        like=truth,
        device=job.device,
        progress=lambda share: progress("reconstruct", share),
    )
    write_json(
        mark,
        {
            "key": key,
            "seconds": time.perf_counter() - clock,
            "peak_memory_bytes": max(0, peak_memory() - memory),
            "parameters": method.parameter_count(),
        },
    )


def score(folder: RunFolder, truth: Volume, observed: Volume, progress: Progress) -> list[Mapping[str, Any]]:
    """Score the stored reconstruction; writes curves.json and sections.npz."""
    from vemrecon.metrics.evaluate import evaluate

    task = folder.spec.task
    degradation = task_degradation(folder)
    reconstruction = open_volume(folder.path / "reconstruction.zarr", intensity_range=truth.intensity_range)
    reconstruction = replace(reconstruction, voxel_size=truth.voxel_size)
    truth.require_voxel_size()
    ranges, kept = scored_ranges(truth, degradation, observed.shape[0])
    evaluation = evaluate(
        truth,
        reconstruction,
        metrics=folder.spec.metrics,
        ranges=ranges,
        kept_sections=kept,
        blocks=evaluation_blocks(truth.whole),
        scale=task.scale,
        progress=lambda share: progress("score", share),
    )
    write_json(folder.path / "curves.json", evaluation.curves | {"training": training_curves(folder)})
    write_sections(folder.path / "sections.npz", truth, observed, reconstruction, task.scale)
    return [asdict(row) for row in evaluation.scores]


def training_curves(folder: RunFolder) -> dict[str, Any]:
    """Loss and validation numbers of every stage: stage -> name -> {batch, value}."""
    from vemrecon.fit.callbacks import read_log

    return {
        log.parent.name: {name: {"batch": b, "value": v} for name, (b, v) in read_log(log).items()}
        for log in sorted(folder.path.glob("train/*/loss.csv"))
    }


def scored_ranges(truth: Volume, degradation: Degradation, observed: int) -> tuple[dict[str, Region], list[int]]:
    """Scored ranges and the truth sections that were copied from the input.

    `all` is everything. Where sections were kept, `span` ends at the last kept one: none in it is extrapolated.
    """
    ranges = {"all": truth.whole}
    if degradation.grid == "centred":
        return ranges, []
    kept = [round(z) for z in degradation.positions(observed)]
    ranges["span"] = Region((0, 0, 0), (kept[-1] + 1, *truth.shape[1:]))
    return ranges, kept if degradation.name == "subsample" else []


def evaluation_blocks(whole: Region) -> dict[str, Region]:
    """Equal parts of about the protocol's block size, named by their place (z, y, x); none if there is only one."""
    size = protocol.protocol()["evaluation_block"]
    parts = [max(1, round(n / size)) for n in whole.shape]
    steps = [-(-n // k) for n, k in zip(whole.shape, parts, strict=True)]
    regions = list(whole.blocks(steps))
    if len(regions) == 1:
        return {}
    return {"-".join(str(a // s) for a, s in zip(r.start, steps, strict=True)): r for r in regions}


def write_sections(path: Path, truth: Volume, observed: Volume, reconstruction: Volume, scale: float) -> None:
    """Central sections of the three volumes as uint8 arrays, for the report.

    The xy section shown is one that was not observed: the truth section farthest from observed ones near the centre.
    """
    nz, ny, nx = truth.shape
    middle = observed.shape[0] // 2
    z = min(nz - 1, round((middle + 0.5) * scale)) if observed.grid == "aligned" else min(nz - 1, round(middle * scale))
    depth = max(1, min(observed.shape[0], int(PICTURE / scale)))
    k0 = max(0, min(observed.shape[0] - depth, middle - depth // 2))
    z0, z1 = round(k0 * scale), round((k0 + depth) * scale)
    (y0, y1), (x0, x1) = ((max(0, n // 2 - PICTURE // 2), min(n, n // 2 + PICTURE // 2)) for n in (ny, nx))
    y, x = (y0 + y1) // 2, (x0 + x1) // 2
    k = min(observed.shape[0] - 1, int(z / scale))
    arrays: dict[str, np.ndarray] = {"position": np.array([z, y, x]), "origin": np.array([z0, y0, x0])}
    arrays["voxel_size"] = np.array(tuple(truth.require_voxel_size()))
    for name, volume, section, rows in (
        ("truth", truth, z, (z0, z1)),
        ("reconstruction", reconstruction, z, (z0, z1)),
        ("observed", observed, k, (k0, k0 + depth)),
    ):
        planes = {
            "xy": Region((section, y0, x0), (section + 1, y1, x1)),
            "xz": Region((rows[0], y, x0), (rows[1], y + 1, x1)),
            "yz": Region((rows[0], y0, x), (rows[1], y1, x + 1)),
        }
        for plane, region in planes.items():
            arrays[f"{name}_{plane}"] = quantise(volume.read(region), np.dtype(np.uint8)).squeeze(
                {"xy": 0, "xz": 1, "yz": 2}[plane]
            )
    with atomic_write(path, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub forbids arrays by keyword


def peak_memory() -> int:
    """Largest resident set of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def phase_costs(folder: RunFolder) -> dict[str, Any]:
    """Costs that the finished marks of the phases tell."""
    mark = read_json(folder.path / "reconstruction.json")
    stages = [read_json(path)["seconds"] for path in sorted(folder.path.glob("train/*/stage.json"))]
    return {
        "train_seconds": float(sum(stages)),
        "reconstruct_seconds": mark["seconds"],
        "peak_memory_bytes": mark["peak_memory_bytes"],
        "parameters": mark["parameters"],
    }
