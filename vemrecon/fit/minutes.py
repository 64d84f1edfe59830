"""A training that takes so many minutes: how many batches that is on this machine, found once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from vemrecon.data.source import Source
from vemrecon.errors import ConfigError
from vemrecon.files import digest_of
from vemrecon.fit.pace import Pace, paces
from vemrecon.kept import read_mark, write_mark
from vemrecon.methods.base import Method
from vemrecon.methods.batches import batches_of, lengthened
from vemrecon.processes import world_size
from vemrecon.progress import Progress, Say

WATCHING = 0.1  # of the time, at most, for looking at held-out patches
LEAST = 20  # batches of all stages; fewer teach nothing
ROUNDS = 4
TIMED = 0.05  # of a time that is to be met closely, for timing batches of each stage; it comes on top
Build = Callable[[Mapping[str, Any]], Method]
"""Makes a method from its arguments."""


@dataclass(frozen=True)
class Length:
    """How long a training is.

    Attributes:
        arguments: Of the method.
        watch: Share of the held-out patches that are looked at.
        limits: Seconds from the start of the training in which each stage should be done.
    """

    arguments: dict[str, Any]
    watch: float = 1.0
    limits: Mapping[str, float] = field(default_factory=dict)


def length_of(
    minutes: float,
    kind: type[Method],
    arguments: Mapping[str, Any],
    build: Build,
    source: Source,
    scratch: Path,
    *,
    identity: str,
    seed: int,
    device: str,
    progress: Progress,
    say: Say,
    asked: str = "",
    prepare: bool = False,
) -> Length:
    """Arguments with which a training takes so many minutes; all that counts batches grows or shrinks alike.

    It is decided once, by the time that some batches take. An interrupted training goes on with what was decided.

    Args:
        minutes: Of all stages together.
        kind: Class of the method.
        arguments: Those of the preset.
        build: Makes the method.
        source: What it will learn from.
        scratch: Where the training is kept.
        identity: Of the training, apart from its length.
        seed: Of the training.
        device: Where it is trained.
        progress: Told that batches are timed.
        say: Told what was decided.
        asked: How that was asked for; empty for `--train-minutes`.
        prepare: Whether what a method prepares for its stages is part of the time, or comes on top.

    Raises:
        ConfigError: If hardly a batch fits, or the method does not say what counts batches.
    """
    mark, key = scratch / "minutes.json", digest_of([identity, minutes])
    asked = asked or f"--train-minutes {minutes:g}"
    known = read_mark(mark)
    if known.get("key") != key:
        if world_size() > 1:
            raise ConfigError(f"{asked}: one process must find the time, so not on several machines")
        progress("time some batches", 0.0)
        place = scratch / "rehearsal"
        found = paces(
            build(arguments), source, place, seed=seed, device=device, prepare=prepare,
            seconds=TIMED * 60 * minutes if prepare else 0.0,
        )  # fmt: skip
        factor, watch = _factor(minutes, lambda share: build(lengthened(kind, arguments, share)), found, asked)
        limits = _limits(60 * minutes, build(lengthened(kind, arguments, factor)), found, watch)
        known = {"key": key, "factor": factor, "watch": watch, "limits": limits}
        known |= {"seconds_per_batch": [pace.batch for pace in found]}
        write_mark(mark, known)
    made = lengthened(kind, arguments, known["factor"])
    each = zip(batches_of(build(made)).items(), known["seconds_per_batch"], strict=True)
    parts = ", ".join(f"{name} {count} batches of {seconds:.2g} s" for (name, count), seconds in each)
    say(f"training of {minutes:g} min, as timed on this machine: {parts}")
    return Length(made, known["watch"], known.get("limits", {}))


def _limits(seconds: float, method: Method, found: Sequence[Pace], watch: float) -> dict[str, float]:
    """When each stage should be done: the time is shared as the stages are expected to need it."""
    stages = method.stages()
    parts = [
        pace.prepare + stage.epochs * (stage.batches_per_epoch * pace.batch + watch * pace.epoch)
        for stage, pace in zip(stages, found, strict=True)
    ]
    return {stage.name: seconds * part / sum(parts) for stage, part in zip(stages, accumulate(parts), strict=True)}


def _factor(minutes: float, build: Callable[[float], Method], found: Sequence[Pace], asked: str) -> tuple[float, float]:
    """By what the batches of all stages are multiplied to fill a time, and the share of held-out patches to look at."""

    def parts(factor: float) -> tuple[float, float, int]:
        stages = build(factor).stages()
        counts = [stage.epochs * stage.batches_per_epoch for stage in stages]
        batches = sum(n * pace.batch for n, pace in zip(counts, found, strict=True))
        between = sum(stage.epochs * pace.epoch for stage, pace in zip(stages, found, strict=True))
        return batches, between, sum(counts)

    seconds, before = 60 * minutes, sum(pace.prepare for pace in found)
    whole, _, usual = parts(1.0)
    factor = least = LEAST / usual
    watch = 1.0
    for _ in range(ROUNDS):
        _, between, _ = parts(factor)
        watch = min(1.0, WATCHING * seconds / between) if between else 1.0
        factor = max(least, (seconds - before - watch * between) / whole)
    batches, between, count = parts(factor)
    if count == usual and abs(factor - 1) > 0.5:
        raise ConfigError(f"{asked}: the method does not say which arguments count batches (Method.in_batches)")
    taken = before + batches + watch * between
    if factor == least and taken > seconds:
        raise ConfigError(f"{asked}: {LEAST} batches, which are few, take {taken / 60:.2g} minutes here; give it more")
    return factor, watch
