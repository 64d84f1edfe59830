"""What a run has learned before it reconstructs: its method with the weights of a training, of others, or of none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.bench.executors.ranks import learn_together
from vemrecon.bench.job import Job
from vemrecon.bench.spec import VALIDATION, WEIGHTS
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import learning_degradation, learning_source, task_degradation
from vemrecon.data.volume_at import VolumeAt
from vemrecon.environment import environment
from vemrecon.errors import DataError
from vemrecon.files import canonical_json, make_folder, sha256_of, slug
from vemrecon.kept import read_mark, write_mark
from vemrecon.processes import launched_together, leave_group, local_world_size, rank, world_size
from vemrecon.progress import Progress
from vemrecon.volume import SectionGrid
from vemrecon.volume.region import Triple

if TYPE_CHECKING:
    from vemrecon.data.source import Source
    from vemrecon.fit.learned import LearnedRegion
    from vemrecon.fit.loggers import Logs
    from vemrecon.fit.minutes import Length
    from vemrecon.methods.base import Method


def method_of(folder: RunFolder, arguments: Mapping[str, Any] | None = None) -> Method:
    """The method of a run, for its task, without what it learns.

    Args:
        folder: Of the run.
        arguments: Take the place of those of its specification.
    """
    from vemrecon.fit.learned import Learned

    spec, kind = folder.spec, folder.spec.method.found().load()
    given = dict(arguments or spec.method.arguments)
    if spec.learning_scale != spec.task.scale:
        learned = Learned(weights_of(folder), spec.method.entry, given, learning_degradation(folder).grid)
        given = learned.arguments_for(kind)
    return _built(folder, kind, given, task_degradation(folder).grid)


def learner_of(folder: RunFolder, arguments: Mapping[str, Any] | None = None) -> Method:
    """The method of a run, for what it learns from, before its training; see `method_of`."""
    kind = folder.spec.method.found().load()
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
    """What a run learns from, and chooses its weights by; that of the weights it goes on from is part of it."""
    from vemrecon.fit.learned import Learned, LearnedRegion

    named = (folder.spec.training or {}).get("from", ())
    datasets = [part["dataset"] for part in named] or [folder.spec.task.dataset] * max(1, len(job.training))
    before = Learned.read(Path(job.weights)).regions if job.weights else ()
    learned = zip(datasets, job.training or (job.truth,), strict=True)
    watched = job.validation if VALIDATION in (folder.spec.training or {}) else ()
    return (
        *before,
        *(LearnedRegion(dataset, at.split, at.digest, *_bounds(at)) for dataset, at in learned),
        *(LearnedRegion("", at.split, at.digest, *_bounds(at), True) for at in watched),
    )


def _bounds(at: VolumeAt) -> tuple[Triple | None, Triple | None]:
    return at.region or (None, None)


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
