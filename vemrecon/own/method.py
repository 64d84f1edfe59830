"""A method that is ready to reconstruct a volume: training-free, with given weights, or trained on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vemrecon.errors import ConfigError
from vemrecon.files import digest_of
from vemrecon.fit.stages import weights_facts
from vemrecon.infer.inpainting import require_filler
from vemrecon.methods.base import Method
from vemrecon.methods.batches import length_settings
from vemrecon.methods.build import build_method, check_inner_names
from vemrecon.methods.registry import check_preset, choose_preset, method_entry, with_settings
from vemrecon.own.learning import SOUND, Faults, learning_source
from vemrecon.own.minutes import Length, length_of
from vemrecon.progress import Progress, Say
from vemrecon.volume import SectionGrid, Volume

USUAL_SCALE = 8.0  # decides nothing that is asked of a method before its volume is known


def prepare_method(
    name: str,
    volume: Volume,
    *,
    train: str | None,
    minutes: float | None = None,
    weights: Path | None,
    scratch: Path,
    seed: int,
    overrides: Mapping[str, Any],
    device: str,
    progress: Progress,
    say: Say,
    faults: Faults = SOUND,
    memory: int | None = None,
    learn: bool = True,
) -> Method:
    """A method that is ready to reconstruct: training-free, with given weights, or trained on the volume itself.

    Args:
        name: Of the method.
        volume: Knows where its sections lie.
        train: Preset of a training.
        minutes: What the training takes, where not as long as the preset says.
        weights: File of weights.
        scratch: Where the training is kept.
        seed: Of the training.
        overrides: Arguments that are changed.
        device: Where the method will run.
        progress: Told phase, finished share, and how the training goes.
        say: Told what the training leaves out, and how long it is.
        faults: What is wrong with the sections.
        memory: Most bytes that the process may take.
        learn: Without it the method is not trained, and takes as long for a tile as if it were.

    Raises:
        ConfigError: If a method that learns gets neither weights nor a training preset, or declines the scale.
        DataError: If weights do not fit, or too little is left to learn from.
    """
    from vemrecon.fit.stages import load_weights, trained_parts
    from vemrecon.fit.stages import train as fit

    grid = volume.require_grid()
    kind, card, presets = method_entry(name).resolved()
    preset, arguments = choose_preset(name, check_preset(train or "cpu"), presets)
    if weights is not None:
        arguments = _fitting_arguments(name, weights, volume)
    arguments = with_settings(arguments, overrides)
    build = partial(build_method, kind, name, grid=grid, seed=seed)
    method = build(arguments)
    if reason := method.supports(grid.scale, grid):
        raise ConfigError(f"method '{name}' cannot do this volume: {reason}")
    if weights is not None:
        load_weights(method, weights, trained_parts(method))
    elif method.stages() and learn:
        if train is None:
            raise ConfigError(f"method '{name}' learns: give --weights FILE, or --train cpu to train it on this volume")
        if card.regime != "self":
            raise ConfigError(f"method '{name}' needs isotropic truth to learn from; give --weights FILE")
        if line := faults.text(volume.shape[0]):
            say(line)
        source = learning_source(volume, faults, card.regime, memory)
        facts = [name, card.version, preset, arguments, seed, list(volume.shape), volume.name]
        facts += [sorted(faults.unfit), sorted(faults.displaced)]
        length = Length(arguments)
        if minutes is not None:
            length = length_of(
                minutes, kind, arguments, build, source, scratch,
                identity=digest_of(facts), seed=seed, device=device, progress=progress, say=say,
            )  # fmt: skip
            method, facts = build(length.arguments), [*facts, length.arguments]
        fit(
            method, source, scratch, identity=digest_of(facts), seed=seed, device=device,
            watch=length.watch, progress=progress,
        )  # fmt: skip
    return method.eval().to(device)


def check_wishes(
    name: str,
    *,
    train: str | None,
    minutes: float | None,
    weights: Path | None,
    overrides: Mapping[str, Any],
    scale: float | None,
    uncertainty: bool,
    missing: bool,
) -> None:
    """Refuse what a method cannot do, before anything is read or computed.

    Args:
        name: Of the method.
        train: Preset of a training that is asked for.
        minutes: What it is to take.
        weights: File of weights.
        overrides: Arguments that are changed.
        scale: As far as it is known.
        uncertainty: Whether its uncertainty is wanted.
        missing: Whether it is to fill missing sections.

    Raises:
        ConfigError: With what to choose instead.
        DataError: If the weights cannot be read.
    """
    kind, card, presets = method_entry(name).resolved()
    asked = "--train" if minutes is None else "--train-minutes"
    if weights is not None and train is not None:
        raise ConfigError(f"give --weights or {asked}, not both")
    if train is not None and card.regime == "none":
        raise ConfigError(
            f"{asked}: method '{name}' does not learn; choose one that does, such as --method lateral-cnn"
        )
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise ConfigError(f"--train-minutes {minutes}: must be a number of minutes above 0")
    if minutes is not None and card.at_test:
        raise ConfigError(
            f"--train-minutes: method '{name}' learns every tile by itself while it reconstructs; leave it out"
        )
    if weights is not None and (card.regime == "none" or card.at_test):
        raise ConfigError(
            f"--weights: method '{name}' learns nothing before, so no weights belong to it; leave them out"
        )
    if train is not None and card.regime not in ("none", "self"):
        raise ConfigError(f"{asked}: method '{name}' needs isotropic truth to learn from; give --weights FILE")
    _, arguments = choose_preset(name, check_preset(train or "cpu"), presets)
    if weights is not None:
        arguments = dict(weights_facts(weights).get("arguments", {}))
    arguments = with_settings(arguments, overrides)
    check_inner_names(kind, name, arguments, overrides)
    if minutes is not None and (both := sorted(set(overrides) & set(length_settings(kind, arguments)))):
        raise ConfigError(f"--set {both[0]}: counts batches, as --train-minutes does; leave one of them out")
    if not uncertainty and not missing:
        return
    try:
        method = build_method(kind, name, arguments, grid=SectionGrid.slabs(scale or USUAL_SCALE), seed=0)
    except ConfigError:
        if scale is None:
            return  # it may take that of the volume
        raise
    if uncertainty and not method.has_spread:
        raise ConfigError(
            f"--uncertainty: method '{name}' has no uncertainty; methods that average over rotations or samples have "
            f"one, as far as they make more than one"
        )
    if missing:
        require_filler(method, name)


def _fitting_arguments(name: str, weights: Path, volume: Volume) -> dict[str, Any]:
    """Arguments that a weights file was made with.

    Raises:
        ConfigError: If it belongs to another method or another kind of sections.
    """
    facts = weights_facts(weights)
    if facts.get("method") not in (None, name):
        raise ConfigError(f"{weights}: weights of method '{facts['method']}', not of '{name}'")
    grid, stored = volume.require_grid(), facts.get("grid")
    kind, learned = grid.kind, stored and SectionGrid.stored(stored, grid.scale).kind
    if learned not in (None, kind):
        raise ConfigError(
            f"{weights}: learned on {learned} sections, but those of {volume.name} are {kind}; "
            f"if that is wrong, give --grid {learned}"
        )
    return dict(facts.get("arguments", {}))
