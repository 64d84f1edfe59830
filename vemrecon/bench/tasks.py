"""From what was asked to tasks: which volumes, which kind, and what methods may learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vemrecon import protocol
from vemrecon.bench.job import Job
from vemrecon.bench.labelled import planned_segmentations
from vemrecon.bench.place import VolumeAt
from vemrecon.bench.request import Place, Request, TaskRequest, metrics_of
from vemrecon.bench.spec import DegradationVariant, Task
from vemrecon.data import (
    DatasetCard,
    Located,
    Split,
    dataset_card,
    fetch_needed,
    locate,
    require_apart,
    task_volume,
)
from vemrecon.data.inspect import check_card, inspection_of
from vemrecon.data.overlap import require_no_copy
from vemrecon.data.split import check_mode, guard_voxels
from vemrecon.degrade import make_degradation, trimmed
from vemrecon.errors import ConfigError, DataError
from vemrecon.files import digest_of
from vemrecon.metrics.catalogue import expanded
from vemrecon.metrics.score import Need
from vemrecon.volume import Volume, open_volume, require_content

Say = Callable[[str], None]
AXES = {"reference": "z", "lateral": "y", "native": "z"}
NATIVE_SPLIT = "axial"
"""Split of native tasks, where a dataset has one and the user names none."""


@dataclass(frozen=True)
class PlannedTask:
    """A task, the job that does it, and what methods that learn may learn from."""

    task: Task
    job: Job
    learning: Mapping[str, Any] | None
    """Mode, split and digests; None where the dataset has no training split."""


def planned_tasks(request: Request, place: Place, fetch: bool, say: Say, learns: bool) -> Iterator[PlannedTask]:
    """Every task that a request asks for, in order.

    Raises:
        VemreconError: For an unknown name, a missing or unusable dataset, or a scale that cannot be used.
    """
    found = []
    for wanted in request.tasks:
        for scale in wanted.scales:
            for name in wanted.degradations:
                make_degradation(name, scale, wanted.arguments.get(name))  # refuses what cannot be used
        card = dataset_card(wanted.dataset, place.voxel_size)
        kind = task_kind(card, wanted)
        native = NATIVE_SPLIT if kind == "native" and NATIVE_SPLIT in card.splits else None
        found += [(wanted, card, kind, split) for split in card.members(wanted.split or native)]
    if fetch:  # all that is missing, in one message
        needed = [(card, key) for _, card, _, split in found for key in _files(card, split, learns)]
        fetch_needed(needed, data_root=place.data_root, say=say)
    for wanted, card, kind, split in found:
        yield from _split_tasks(request, wanted, card, kind, split, place, fetch, say, learns)


def _files(card: DatasetCard, split: Split, learns: bool) -> list[str]:
    """Keys of the files behind a split, and behind those that methods learn from if any method does."""
    others = (split.train, split.val) if learns else ()
    return [split.file, *(card.splits[name].file for name in others if name in card.splits)]


def task_kind(card: DatasetCard, wanted: TaskRequest) -> str:
    """The kind of task that is asked for, or the usual one of the dataset.

    Raises:
        ConfigError: If the dataset does not allow it.
    """
    kind = wanted.kind or card.tasks[0]
    if kind not in card.tasks:
        voxels = f"{card.voxel_size}" if card.voxel_size else "of unknown size"
        raise ConfigError(f"{card.name}: its voxels ({voxels}) allow --task {' or '.join(card.tasks)}, not {kind}")
    return kind


def _split_tasks(
    request: Request,
    wanted: TaskRequest,
    card: DatasetCard,
    kind: str,
    split: Split,
    place: Place,
    fetch: bool,
    say: Say,
    learns: bool,
) -> Iterator[PlannedTask]:
    located = _locate(card, split, place, fetch, say)
    job, learning = Job(VolumeAt.of(located, split), processes=place.processes, loggers=place.loggers), None
    if learns:
        job, learning = _learning(card, split, kind, job, request.mode, place, fetch, say)
    if fetch:
        file = card.files[split.file]
        if file.shape:  # of a file that is known, not made here or a user's own
            check_card(open_volume(located.path, located.dataset), card, file)
        volume = task_volume(located, split)
        job = replace(job, defects=_defects(card, split, located, volume, place))
        _check(volume, kind, wanted.scales)
    if any(Need.LABELS in spec.needs for spec in expanded(metrics_of(kind, request.metrics))):
        job = replace(job, segmentation=planned_segmentations(card, split, request.preset, place, fetch, say))
    for scale in wanted.scales:
        for name in wanted.degradations:
            task = Task(
                dataset=card.name,
                split=split.name,
                scale=float(scale),
                degradation=DegradationVariant(name, dict(wanted.arguments.get(name, {}))),
                dataset_digest=located.digest,
                split_digest=split.digest,
                kind=kind,
                axis=AXES[kind],
                degradation_seed=protocol.protocol()["degradation_seed"],
            )
            yield PlannedTask(task, job, learning)


def _check(volume: Volume, kind: str, scales: tuple[float, ...]) -> None:
    """Refuse a volume that cannot be degraded, reconstructed or scored."""
    volume.require_voxel_size()
    require_content(volume)
    if kind == "native":
        if volume.shape[0] < 2:
            raise DataError(f"{volume.name}: a single section cannot be reconstructed")
        return
    for scale in scales:
        trimmed(volume.with_axis_first("zyx".index(AXES[kind])), float(scale))


def _defects(card: DatasetCard, split: Split, located: Located, volume: Volume, place: Place) -> tuple[int, ...]:
    """Damaged sections of the scored region, counted from its first section."""
    start, stop = (split.region.start[0], split.region.stop[0]) if split.region else (0, volume.shape[0])
    file = card.files[split.file]
    content = digest_of([located.digest, file.dataset])
    inspection = inspection_of(content, located.open(), place.scratch)
    found = {*file.defects, *inspection.defects(card.exclude_outliers)}
    return tuple(sorted(z - start for z in found if start <= z < stop))


def _learning(
    card: DatasetCard, split: Split, kind: str, job: Job, mode: str, place: Place, fetch: bool, say: Say
) -> tuple[Job, dict[str, Any] | None]:
    """Job and identity of what is learned from; None where the dataset has no training split."""
    if mode == "transductive" and kind == "lateral":
        raise ConfigError(
            "a lateral task scores the axis that methods learn from, so it has no transductive mode; leave --mode out"
        )
    native = kind == "native"  # has no truth that could be learned by heart, so its regions may overlap
    if not native:
        check_mode(split, mode)
    if mode == "transductive" and (native or not split.inside):
        return job, {"mode": mode}
    if split.train not in card.splits:
        return job, None
    train = card.splits[split.train]
    if native and split.inside:
        mode = "transductive"
    elif not native and not split.inside:
        require_apart(train, split, guard_voxels(card.voxel_size, protocol.protocol()["guard_nm"]))
    located = _locate(card, train, place, fetch, say)
    if fetch and not native and train.file != split.file:
        require_no_copy(train, located, split, _locate(card, split, place, fetch, say), place.scratch)
    job = replace(job, training=VolumeAt.of(located, train))
    if split.val in card.splits:
        validation = card.splits[split.val]
        job = replace(job, validation=VolumeAt.of(_locate(card, validation, place, fetch, say), validation))
    return job, {
        "mode": mode,
        "split": train.name,
        "dataset_digest": located.digest,
        "split_digest": train.digest,
    }


def _locate(card: DatasetCard, split: Split, place: Place, fetch: bool, say: Say) -> Located:
    return locate(
        card,
        split.file,
        data_root=place.data_root,
        scratch=place.scratch,
        voxel_size=place.voxel_size,
        intensity_range=place.intensity_range,
        fetch=fetch,
        say=say,
    )
