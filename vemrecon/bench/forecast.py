"""How long planned runs will take and how much they will store, going by finished runs of the same method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Final

from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.result import Costs, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.bench.store import run_folders
from vemrecon.data.catalogue import LOCAL, dataset_card
from vemrecon.data.volume_at import VolumeAt
from vemrecon.errors import VemreconError
from vemrecon.files import digest_of

FLOAT_BYTES: Final = 4
"""Of a voxel of the observed volume."""


@dataclass(frozen=True)
class Record:
    """What a finished run took, or would have taken if it had not been a rehearsal."""

    spec: RunSpec
    costs: Costs
    device: str
    """cpu or cuda."""
    path: Path | None
    """None of a rehearsal, which stores nothing."""

    @cached_property
    def apart(self) -> int | None:
        """Bytes of its folder that do not grow with the volume: checkpoints, weights, logs."""
        if self.path is None:
            return None
        return sum(_bytes(one) for one in self.path.iterdir() if one.suffix != ".zarr")

    @cached_property
    def stored(self) -> int | None:
        """Bytes of its reconstruction, and of its uncertainty if it has one."""
        return None if self.path is None else sum(_bytes(one) for one in self.path.glob("*.zarr"))


@dataclass(frozen=True)
class Forecast:
    """What a run will take; None where nothing is known to go by."""

    train_seconds: float | None
    reconstruct_seconds: float | None
    score_seconds: float | None
    bytes: float | None
    """That its folder will hold."""
    basis: str
    """What it goes by."""

    @property
    def seconds(self) -> float | None:
        """Of all phases."""
        parts = (self.train_seconds, self.reconstruct_seconds, self.score_seconds)
        return None if None in parts else math.fsum(part for part in parts if part is not None)


class Experience:
    """Finished runs of a folder.

    Args:
        runs: The folder; it need not exist.
        device: `cpu` or `cuda`: runs on the other kind are no measure.
    """

    def __init__(self, runs: Path, device: str) -> None:
        self.device = device
        self.records = [record for record in _records(runs) if record.device == device]
        self._rehearsed: dict[str, Record] = {}

    def learn(self, rehearsal: Record) -> None:
        """Take note of a rehearsal, for runs of which nothing alike has finished."""
        self._rehearsed[alike(rehearsal.spec)] = rehearsal

    def forecast(self, run: PlannedRun) -> Forecast:
        """What a run will take.

        Training takes as long as with the same arguments before, since its batches are counted, or as long as its track
        says; reconstruction and
        scoring as long per voxel. Where no run had the same arguments, one of the same preset is taken.
        """
        spec, voxels = run.folder.spec, output_voxels(run)
        like, basis = self._alike(spec)
        if not like:
            return self._unheard_of(run, voxels)
        training = _median(one.costs.train_seconds for one in like if one.spec.track is None)
        if spec.track:
            training = spec.track.seconds
        return Forecast(
            training if run.learns else 0.0,
            _scaled(((one.costs.reconstruct_seconds, one.costs.output_voxels) for one in like), voxels),
            _scaled(
                ((one.costs.score_seconds, one.costs.output_voxels) for one in self._scored_alike(spec) or like),
                voxels,
            ),
            _sum(
                _scaled(((one.stored, one.costs.output_voxels) for one in like), voxels),
                _median(one.apart for one in like),
            ),
            f"{len(like)} {basis}",
        )

    def _unheard_of(self, run: PlannedRun, voxels: int | None) -> Forecast:
        spec, size = run.folder.spec, None if voxels is None else float(voxels)  # 8 bit
        if (rehearsal := self._rehearsed.get(alike(spec))) is None:
            return Forecast(None if run.learns else 0.0, None, None, size, "")
        took = rehearsal.costs
        scoring = _scaled(
            ((one.costs.score_seconds, one.costs.output_voxels) for one in self._scored_alike(spec)), voxels
        )
        return Forecast(
            spec.track.seconds if spec.track else took.train_seconds,
            _scaled([(took.reconstruct_seconds, took.output_voxels)], voxels),
            scoring or 0.0,
            size,
            "a rehearsal" if scoring else "a rehearsal, without scoring",
        )

    def _alike(self, spec: RunSpec) -> tuple[list[Record], str]:
        method = [one for one in self.records if one.spec.method.entry == spec.method.entry]
        same = [one for one in method if one.spec.method.arguments == spec.method.arguments]
        if same:
            return same, f"run{'s' * (len(same) > 1)} of it"
        preset = [one for one in method if one.spec.preset == spec.preset]
        return preset, f"run{'s' * (len(preset) > 1)} of its preset"

    def _scored_alike(self, spec: RunSpec) -> list[Record]:
        """Of any method: what a score takes depends on metrics and kind of task."""
        return [
            one
            for one in self.records
            if one.spec.task.kind == spec.task.kind and set(one.spec.metrics) == set(spec.metrics)
        ]


def alike(spec: RunSpec) -> str:
    """The same for runs that take as long as each other per voxel, and learn as long."""
    return digest_of([spec.method.entry, dict(spec.method.arguments), spec.task.scale, spec.task.kind])


def observed_bytes(runs: Iterable[PlannedRun]) -> float:
    """Bytes of the observed volumes that are still to be made; all runs of a task share one."""
    missing = {run.folder.observed: run for run in runs if run.folder.spec.task.kind != "native"}
    return sum(
        FLOAT_BYTES * (output_voxels(run) or 0) / run.folder.spec.task.scale
        for path, run in missing.items()
        if not path.exists()
    )


def output_voxels(run: PlannedRun) -> int | None:
    """Voxels that a run reconstructs, by its region, its file or the card of its dataset; None if none of them says."""
    task = run.folder.spec.task
    shape = _shape(run.job.truth, task.dataset, task.split)
    if shape is None:
        return None
    return round(math.prod(shape) * (task.scale if task.kind == "native" else 1))


def _shape(at: VolumeAt, dataset: str, split: str) -> Sequence[int] | None:
    if at.region is not None:
        return [stop - start for start, stop in zip(*at.region, strict=True)]
    try:
        if Path(at.path).exists():
            return at.open().shape
        if dataset.startswith(LOCAL):
            return None
        card = dataset_card(dataset)
        file = card.files[card.splits[split].file]
        return file.shape or (file.generator or {}).get("shape")
    except (VemreconError, KeyError, OSError):
        return None


def _records(runs: Path) -> Iterable[Record]:
    for folder in run_folders(runs):
        result = folder.result()
        if result is not None and result.status == Status.DONE:
            device = str(result.environment.get("device", "cpu")).partition(":")[0]
            yield Record(folder.spec, result.costs, device, folder.path)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _scaled(pairs: Iterable[tuple[float | None, float | None]], voxels: int | None) -> float | None:
    """Median per voxel, times the voxels."""
    rates = [value / count for value, count in pairs if value is not None and count]
    return None if voxels is None or not rates else median(rates) * voxels


def _sum(*parts: float | None) -> float | None:
    return None if None in parts else math.fsum(part for part in parts if part is not None)


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file())
