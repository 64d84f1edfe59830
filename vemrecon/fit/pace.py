"""`Pace`: how fast stages are learned on this machine, from a few batches of each that are thrown away."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from vemrecon.data.source import Source
from vemrecon.device_clock import DeviceClock
from vemrecon.files import make_folder
from vemrecon.fit.stages import fit_stage, fixed_parameters
from vemrecon.methods.base import Method
from vemrecon.methods.stage import Stage

FIRST = 5  # batches; the first two also load libraries, and are not timed
LONG_ENOUGH = 4.0  # seconds; quicker ones are timed again, over more batches
MOST = 200


@dataclass(frozen=True)
class Pace:
    """Seconds of one stage.

    Attributes:
        batch: Of one batch, with what is drawn for it.
        epoch: What an epoch takes beside its batches: validation and checkpoint.
        prepare: What is made before the first batch, as far as it was asked for.
    """

    batch: float
    epoch: float
    prepare: float = 0.0

    def of(self, stage: Stage) -> float:
        """Seconds of a whole stage."""
        return stage.epochs * (stage.batches_per_epoch * self.batch + self.epoch)


def paces(
    method: Method,
    source: Source,
    folder: Path,
    *,
    seed: int,
    device: str = "cpu",
    prepare: bool = False,
    seconds: float = 0.0,
) -> list[Pace]:
    """Learn a little of every stage.

    Args:
        method: Spoilt by this.
        source: What it will learn from.
        folder: Made and removed; what an attempt that was killed has left there is no start for this one.
        seed: Of the training.
        device: Where it will be trained.
        prepare: Whether to time what is prepared, too.
        seconds: That batches of a stage are timed for, if that is more than usual.
    """
    fixed = fixed_parameters(method)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        long_enough = max(LONG_ENOUGH, seconds)
        return [
            _pace(method, stage, source, folder, fixed, seed, device, prepare, long_enough) for stage in method.stages()
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pace(
    method: Method,
    stage: Stage,
    source: Source,
    folder: Path,
    fixed: frozenset[str],
    seed: int,
    device: str,
    prepare: bool,
    long_enough: float,
) -> Pace:
    found = _timed(method, stage, FIRST, source, folder, fixed, seed, device)
    more = min(MOST, math.ceil(long_enough / found.batch))
    if more > FIRST:
        found = _timed(method, stage, more, source, folder, fixed, seed, device)
    return replace(found, prepare=method.eval().preparation(stage, source)) if prepare else found


def _timed(
    method: Method,
    stage: Stage,
    batches: int,
    source: Source,
    folder: Path,
    fixed: frozenset[str],
    seed: int,
    device: str,
) -> Pace:
    """One epoch of so many batches."""
    stage = replace(stage, budget=batches, epoch=batches)
    place = make_folder(folder / f"{stage.name}-{batches}")
    laps: list[float] = []
    method.stage, method.seed = stage, seed
    method.progress = lambda share: None
    method.to(device).eval()
    method.source = method.rehearsal(stage, source, place)
    method.train()

    clock = DeviceClock(device)

    def batch_done(phase: str, share: float, note: str = "") -> None:
        laps.append(clock.lap())

    fit_stage(method, stage, place, fixed, seed, [device], 0, [], batch_done)
    timed = laps[2:]
    return Pace(sum(timed) / len(timed), clock.lap())
