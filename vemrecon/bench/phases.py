"""The phases of a run. Each leaves a finished mark with its key, and is skipped when the mark fits."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.bench.changes import CODE, code_digest
from vemrecon.bench.executors.ranks import learn_together
from vemrecon.bench.job import Job
from vemrecon.bench.result import Costs
from vemrecon.bench.spec import WEIGHTS
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes, learning_degradation, learning_source, task_degradation
from vemrecon.environment import environment
from vemrecon.errors import DataError
from vemrecon.files import canonical_json, digest_of, make_folder, sha256_of, slug, write_json
from vemrecon.kept import intact_or_aside, read_mark, remember, set_aside, write_mark
from vemrecon.methods.registry import method_entry
from vemrecon.metrics.score import Score
from vemrecon.processes import launched_together, leave_group, local_world_size, peak_memory, rank, world_size
from vemrecon.progress import Progress, silent
from vemrecon.volume import SectionGrid, Volume, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr

if TYPE_CHECKING:
    from vemrecon.data.source import Source
    from vemrecon.fit.learned import LearnedRegion
    from vemrecon.fit.loggers import Logs
    from vemrecon.fit.minutes import Length
    from vemrecon.methods.base import Method

LOG = logging.getLogger(__name__)
RECONSTRUCTION, UNCERTAINTY, REPAIRED = "reconstruction.zarr", "uncertainty.zarr", "repaired.zarr"


def method_of(folder: RunFolder, arguments: Mapping[str, Any] | None = None) -> Method:
    """The method of a run, for its task, without what it learns.

    Args:
        folder: Of the run.
        arguments: Take the place of those of its specification.
    """
    from vemrecon.fit.learned import Learned

    spec, kind = folder.spec, method_entry(folder.spec.method.entry).load()
    given = dict(arguments or spec.method.arguments)
    if spec.learning_scale != spec.task.scale:
        learned = Learned(weights_of(folder), spec.method.entry, given, learning_degradation(folder).grid)
        given = learned.arguments_for(kind)
    return _built(folder, kind, given, task_degradation(folder).grid)


def learner_of(folder: RunFolder, arguments: Mapping[str, Any] | None = None) -> Method:
    """The method of a run, for what it learns from, before its training; see `method_of`."""
    kind = method_entry(folder.spec.method.entry).load()
    return _built(folder, kind, arguments or folder.spec.method.arguments, learning_degradation(folder).grid)


def _built(folder: RunFolder, kind: type[Method], arguments: Mapping[str, Any], grid: SectionGrid) -> Method:
    from vemrecon.methods.build import build_method

    return build_method(kind, folder.spec.method.name, arguments, grid=grid, seed=folder.spec.seed)


def given_weights(folder: RunFolder, job: Job) -> Path:
    """File of the weights that a run is given.

    Raises:
        DataError: If they are not those any more that the run was planned with.
    """
    path, known = Path(str(job.weights)), (folder.spec.training or {}).get("weights")
    if not path.is_file() or sha256_of(path)[:12] != known:
        raise DataError(f"{path}: is missing, or not the weights {known} any more that the run was planned with")
    return path


def learned_regions(folder: RunFolder, job: Job) -> tuple[LearnedRegion, ...]:
    """What a run learns from; what the weights were learned from that it goes on from is part of it."""
    from vemrecon.fit.learned import Learned, LearnedRegion

    named = (folder.spec.training or {}).get("from", ())
    datasets = [part["dataset"] for part in named] or [folder.spec.task.dataset] * max(1, len(job.training))
    before = Learned.read(Path(job.weights)).regions if job.weights else ()
    return *before, *(
        LearnedRegion(dataset, at.split, at.digest, *(at.region or (None, None)))
        for dataset, at in zip(datasets, job.training or (job.truth,), strict=True)
    )


def weights_of(folder: RunFolder) -> Path:
    """File of what a run has learned."""
    return folder.path / "weights.safetensors"


def learn(folder: RunFolder, job: Job, regime: str, progress: Progress) -> Method:
    """Train all stages, or load what an earlier attempt has finished. Training-free methods return at once.

    Returns:
        The method, ready for the task. In a track its training takes as many batches as fit into the time.
    """
    from vemrecon.fit.learned import Learned
    from vemrecon.fit.shared_stages import SharedStages
    from vemrecon.fit.stages import load_weights, take_shared, train, trained_parts

    if folder.spec.mode == WEIGHTS:
        method = method_of(folder)
        load_weights(method, given_weights(folder, job), trained_parts(method))
        return method
    method = learner_of(folder)
    if not method.stages():
        return method
    source = learning_source(folder, job, regime)
    length = track_length(folder, job, method, source, progress)
    if folder.spec.track:
        method = learner_of(folder, length.arguments)
    if job.weights is not None:
        load_weights(method, given_weights(folder, job), trained_parts(method))
    world, place, identity, seed = world_size(), folder.path / "train", folder.spec.run_id, folder.spec.seed
    if world == 1 and not folder.spec.track:
        take_same_training(folder, method)
    finished = trained(folder, method)
    # in a track every run learns all by itself, as what it has learned depends on the time that it took
    shared = None if folder.spec.track else SharedStages(folder.shared_stages, folder.spec.learning_id)
    if world == 1 and shared:
        take_shared(method, place, shared, identity=identity, seed=seed)
    if len(job.devices) > 1 and world == 1 and not trained(folder, method):
        learn_together(folder.path, len(job.devices), progress)
    train(
        method,
        source,
        place,
        identity=identity,
        seed=seed,
        devices=_devices_here(job),
        workers=0 if job.device == "cpu" else 4,
        logs=logs_of(folder, job),
        shared=shared,
        watch=length.watch,
        limits=length.limits,
        progress=progress,
    )
    leave_group()
    if rank() == 0:
        grid = learning_degradation(folder).grid
        regions = learned_regions(folder, job)
        Learned(weights_of(folder), folder.spec.method.entry, length.arguments, grid, regions).keep(method)
        if not finished:
            write_mark(place / "environment.json", environment() | {"device": job.device})
        if folder.spec.learning_scale != folder.spec.task.scale:
            method = method_of(folder, length.arguments)
            load_weights(method, weights_of(folder), trained_parts(method))
    return method


def take_same_training(folder: RunFolder, method: Method) -> None:
    """Take what runs have trained that differ from this one in which weights are kept, as far as they have these."""
    from vemrecon.bench.same_training import same_trainings, take_trained

    place, identity = folder.path / "train", folder.spec.run_id
    for other in same_trainings(folder) if not trained(folder, method) else ():
        take_trained(method, place, identity, learner_of(other), other.path / "train", other.spec.run_id)
        if trained(folder, method):
            write_mark(place / "environment.json", read_mark(other.path / "train" / "environment.json"))
            return


def logs_of(folder: RunFolder, job: Job) -> Logs | None:
    """Logs that are asked for: grouped by the suite, and named by method, preset and seed."""
    from vemrecon.fit.loggers import Logs

    spec = folder.spec
    if not job.loggers:
        return None
    facts = {"task": spec.task.slug, "method": spec.method.name, "preset": spec.preset, "seed": spec.seed}
    facts |= {"arguments": canonical_json(spec.method.arguments), **({"track": spec.track.words} if spec.track else {})}
    title = slug(f"{spec.method.name} {spec.preset} seed {spec.seed}")
    return Logs(job.loggers, folder.path, spec.run_id, title, job.group, facts)


def track_length(folder: RunFolder, job: Job, method: Method, source: Source, progress: Progress) -> Length:
    """How long the method learns: as its arguments say, or in a track as long as was found before the first batch."""
    from vemrecon.fit.minutes import Length, length_of

    spec = folder.spec
    if spec.track is None:
        return Length(dict(spec.method.arguments))
    return length_of(
        spec.track.minutes,
        type(method),
        spec.method.arguments,
        partial(learner_of, folder),
        source,
        make_folder(folder.path / "train"),
        identity=spec.run_id,
        seed=spec.seed,
        device=job.device,
        progress=progress,
        say=lambda text: progress("time some batches", 1.0, text),
        asked=f"--track minutes={spec.track.minutes:g}",
        prepare=True,
    )


def _devices_here(job: Job) -> Sequence[str]:
    """One device for each process of this machine that shares the training."""
    if launched_together():
        count = local_world_size()
        return ["cpu"] * count if job.device == "cpu" else [f"cuda:{n}" for n in range(count)]
    return job.devices if world_size() > 1 else job.devices[:1]


def trained(folder: RunFolder, method: Method) -> bool:
    """Whether every stage has left its finished mark."""
    from vemrecon.fit.stages import all_finished

    return all_finished(method, folder.path / "train", folder.spec.run_id)


def reconstruct(folder: RunFolder, job: Job, method: Method, volumes: TaskVolumes, progress: Progress) -> None:
    """Write reconstruction.zarr (and uncertainty.zarr, if there is one and it is scored) and the finished mark."""
    from vemrecon.infer.reconstruct import damaged_files, reconstruct_volume

    path, mark = folder.path / RECONSTRUCTION, folder.path / "reconstruction.json"
    uncertainty = folder.path / UNCERTAINTY
    spread = uncertainty if keeps_uncertainty(folder) and method.has_spread else None
    key = digest_of({"run": folder.spec.run_id, "tile": asdict(method.tile)})
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
        method,
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
    spread = open_volume(folder.path / UNCERTAINTY) if (folder.path / UNCERTAINTY).exists() else None
    found = scored(folder, job, method, volumes, made, spread, progress)
    write_json(folder.path / "curves.json", found.curves | {"training": training_curves(folder)})
    write_sections(folder.path / "sections.npz", volumes, made)
    return found.scores


def reconstruction(folder: RunFolder, volumes: TaskVolumes) -> Volume:
    """The stored reconstruction, with the voxel size that it has by the task."""
    like = volumes.like
    size = like.require_voxel_size()
    if volumes.truth is None:
        size = size.scaled(volumes.axis, 1 / folder.spec.task.scale)
    made = open_volume(folder.path / RECONSTRUCTION, intensity_range=like.intensity_range)
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
