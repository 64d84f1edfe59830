"""A training that takes so many minutes: how many batches that is on this machine, found once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vemrecon.data.source import Source
from vemrecon.errors import ConfigError
from vemrecon.files import digest_of, read_json, write_json
from vemrecon.fit.pace import Pace, paces
from vemrecon.methods.base import Method
from vemrecon.methods.batches import batches_of, lengthened
from vemrecon.progress import Progress, Say

LEAST = 20  # batches of all stages; fewer teach nothing
ROUNDS = 4
Build = Callable[[Mapping[str, Any]], Method]
"""Makes a method from its arguments."""


def arguments_for(
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
) -> dict[str, Any]:
    """Arguments with which a training takes so many minutes; all that counts batches grows or shrinks alike.

    It is decided once, by the time that some batches take. An interrupted training goes on with what was decided.

    Args:
        minutes: Of all stages together; what a method prepares between them comes on top.
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

    Raises:
        ConfigError: If hardly a batch fits, or the method does not say what counts batches.
    """
    mark, key = scratch / "minutes.json", digest_of([identity, minutes])
    known = read_json(mark) if mark.exists() else {}
    if known.get("key") != key:
        progress("time some batches", 0.0)
        found = paces(build(arguments), source, scratch / "rehearsal", seed=seed, device=device)
        factor = _factor(60 * minutes, arguments, lambda share: build(lengthened(kind, arguments, share)), found)
        known = {"key": key, "factor": factor, "seconds_per_batch": [pace.batch for pace in found]}
        write_json(mark, known)
    made = lengthened(kind, arguments, known["factor"])
    each = zip(batches_of(build(made)).items(), known["seconds_per_batch"], strict=True)
    parts = ", ".join(f"{name} {count} batches of {seconds:.2g} s" for (name, count), seconds in each)
    say(f"training of {minutes:g} min, as timed on this machine: {parts}")
    return made


def _factor(
    seconds: float, arguments: Mapping[str, Any], build: Callable[[float], Method], found: Sequence[Pace]
) -> float:
    """By what the batches of all stages are multiplied to fill a time."""

    def parts(factor: float) -> tuple[float, float, int]:
        stages = build(factor).stages()
        counts = [stage.epochs * stage.batches_per_epoch for stage in stages]
        batches = sum(n * pace.batch for n, pace in zip(counts, found, strict=True))
        between = sum(stage.epochs * pace.epoch for stage, pace in zip(stages, found, strict=True))
        return batches, between, sum(counts)

    whole, _, usual = parts(1.0)
    factor = least = LEAST / usual
    for _ in range(ROUNDS):
        _, between, _ = parts(factor)
        factor = max(least, (seconds - between) / whole)
    batches, between, count = parts(factor)
    if count == usual and abs(factor - 1) > 0.5:
        raise ConfigError("--train-minutes: the method does not say which arguments count batches (Method.in_batches)")
    if factor == least and batches + between > seconds:
        raise ConfigError(
            f"--train-minutes {seconds / 60:g}: {LEAST} batches, which are few, take {(batches + between) / 60:.2g} "
            f"minutes here; give it more"
        )
    return factor
