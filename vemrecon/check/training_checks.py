"""Training as a benchmark does it: some batches, a kill and a resumption, two processes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vemrecon.bench.store import RunFolder
from vemrecon.check.findings import Check, FailedError, Found, left_out, noted, passed, words_of
from vemrecon.check.subject import MethodSubject, WatchedSource
from vemrecon.files import make_folder
from vemrecon.fit.callbacks import weights_of
from vemrecon.fit.stages import WEIGHTS, load_weights, train, trained_parts
from vemrecon.methods.base import Method, reconstruct_tile
from vemrecon.progress import Progress, silent

SAME = 1e-6
"""Largest difference of weights, relative to the largest, that are to be the same."""
TOGETHER = 0.02
"""Largest difference of voxels in [0, 1] between a training of one process and one of two, which round otherwise."""


class KilledError(Exception):
    """Where a training is ended."""


def training(subject: MethodSubject) -> Found:
    """It learns, stage by stage."""
    method = subject.built(subject.grid, subject.setting[0])
    if not method.stages():
        return left_out("it has no stages")
    calls = count_calls(subject, method, subject.training)
    stages = ", ".join(f"{stage.name} {stage.epochs * stage.batches_per_epoch}" for stage in method.stages())
    if subject.card.regime == "isotropic" and isinstance(subject.source, WatchedSource) and not subject.source.looked:
        return noted(f"batches: {stages}; it never looked at the truth that its regime allows", calls=calls)
    return passed(f"batches: {stages}", calls=calls)


def count_calls(subject: MethodSubject, method: Method, place: Path) -> int:
    """Train, and count how often the training told how it goes."""
    told = 0

    def tell(phase: str, share: float, note: str = "") -> None:
        nonlocal told
        told += 1

    fit(subject, method, place, tell)
    return told


def fit(subject: MethodSubject, method: Method, place: Path, tell: Progress = silent) -> None:
    """Train as a run does."""
    source = subject.source
    make_folder(place)
    try:
        with subject.at_work():
            train(method, source, place, identity="check", seed=0, progress=tell)
    except KilledError:
        raise
    except Exception as error:
        names = [one.name for one in method.stages()]
        at = f"stage '{method.stage.name}' ({names.index(method.stage.name) + 1} of {len(names)})"
        raise FailedError(f"{at}: {words_of(error)}") from error


def not_trained(subject: MethodSubject) -> str:
    """Why nothing can be compared with a training; empty if it can."""
    if not subject.method.stages():
        return "it has no stages"
    return "" if subject.trained else "it could not be trained"


def resumption(subject: MethodSubject) -> Found:
    """A training that is killed goes on, and learns the same."""
    whole = subject.method
    if reason := not_trained(subject):
        return left_out(reason)
    place = subject.folder / "killed"
    steps = max(2, whole.stages()[-1].epochs * whole.stages()[-1].batches_per_epoch)
    last, seen = whole.stages()[-1].name, 0

    def kill(phase: str, share: float, note: str = "") -> None:
        nonlocal seen
        seen += phase == last
        if seen > (steps + 1) // 2:
            raise KilledError

    killed = subject.built(subject.grid, subject.setting[0])
    with suppress(KilledError):
        fit(subject, killed, place, kill)
    again = subject.built(subject.grid, subject.setting[0])
    fit(subject, again, place)
    parts = trained_parts(whole)
    worst, name = difference(weights_of(whole, parts), weights_of(again, parts))
    if worst > SAME:
        raise FailedError(
            f"a training that was killed and went on learned other weights ({name} differs by {worst:.2g}): what a "
            "batch depends on must follow from its number and self.seed, or be kept in on_save_checkpoint",
            difference=worst,
        )
    return passed("killed in the middle, it learned the same", difference=worst)


def difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[float, str]:
    """The largest difference relative to the largest weight of a tensor, and its name."""
    found = [(0.0, "")]
    for name, value in one.items():
        if value.is_floating_point():
            scale = max(1e-3, float(value.abs().max()))
            found.append((float((value - other[name]).abs().max()) / scale, name))
        elif not torch.equal(value, other[name]):
            found.append((1.0, name))
    return max(found)


def together(subject: MethodSubject) -> Found:
    """Two processes that share every batch learn what one does."""
    from vemrecon.bench.executors.ranks import learn_together
    from vemrecon.bench.trainings import learner_of

    one = subject.method
    if reason := not_trained(subject):
        return left_out(reason)
    if odd := [stage.name for stage in one.stages() if stage.batch % 2]:
        return left_out(f"batches of stage '{odd[0]}' cannot be halved")
    folder = RunFolder.of(subject.run.spec, subject.folder / "pair")
    folder.create()
    replace(subject.job, devices=("cpu", "cpu")).write(folder.path / "job.json")
    try:
        learn_together(folder.path, 2, silent)
    except Exception as error:
        raise FailedError(
            f"two processes: {words_of(error)} (networks that rest in a step need unused_parameters = True)"
        ) from error
    pair, tile = learner_of(folder).eval(), subject.tile()
    for stage in pair.stages():
        load_weights(pair, folder.path / "train" / stage.name / WEIGHTS, stage.trains)
    between = float((reconstruct_tile(one, tile)[0] - reconstruct_tile(pair, tile)[0]).abs().max())
    if between > TOGETHER:
        return noted(
            f"two processes learn otherwise than one (voxels differ by {between:.2g} after the training): averages "
            "over a batch, as batch normalisation takes, see half of it",
            difference=between,
        )
    return passed(f"two processes learn what one does (voxels differ by {between:.2g})", difference=between)


CHECKS: tuple[Check[MethodSubject], ...] = (
    Check("training", training),
    Check("resumption", resumption),
    Check("two processes", together),
)
