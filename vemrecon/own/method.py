"""A method that is ready to reconstruct a volume: training-free, with given weights, or trained on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vemrecon.data.regime import Regime
from vemrecon.errors import ConfigError
from vemrecon.files import checksum, digest_of
from vemrecon.fit.learned import Learned, LearnedRegion
from vemrecon.fit.minutes import Length, length_of
from vemrecon.infer.inpainting import require_filler
from vemrecon.methods.base import Method
from vemrecon.methods.batches import lengths
from vemrecon.methods.build import build_method, check_inner_names
from vemrecon.methods.card import MethodCard
from vemrecon.methods.condition import Situation
from vemrecon.methods.registry import built_in_methods, check_preset, choose_preset, method_entry, with_settings
from vemrecon.own.learning import SOUND, Faults, learning_source
from vemrecon.own.scales import Resampling
from vemrecon.progress import Progress, Say
from vemrecon.volume import SectionGrid, Volume

USUAL_SCALE = 8.0  # decides nothing that is asked of a method before its volume is known


@dataclass(frozen=True)
class Choice:
    """A method as it is built for a volume, before it has learned anything.

    Attributes:
        name: Of the method, or its class path.
        card: What it says about itself.
        preset: Of its arguments.
        arguments: That it was made with.
        method: Built for `grid`.
        grid: Where sections lie in what it makes.
        resampling: From there to where the volume says; None where that is the same.
    """

    name: str
    card: MethodCard
    preset: str
    arguments: dict[str, Any]
    method: Method
    grid: SectionGrid
    resampling: Resampling | None = None


def choose_method(
    name: str,
    volume: Volume,
    *,
    train: str | None,
    weights: Path | None,
    seed: int,
    overrides: Mapping[str, Any],
    resample: bool = False,
) -> Choice:
    """The method that is wanted, if it can do the volume.

    With `resample` it is built for the next whole scale that it takes.

    Raises:
        ConfigError: If it declines the scale, with what to do; or takes it as it is, and is to be resampled.
    """
    grid = volume.require_grid()
    kind, card, presets = method_entry(name).resolved()
    preset, chosen = choose_preset(name, check_preset(train or "cpu"), presets)
    learned = None if weights is None else Learned.read(weights)
    if learned is not None:
        learned.require(name, grid, volume.name)
    learns = (learned is None or train is not None) and card.regime == "self"

    def arguments(at: SectionGrid) -> dict[str, Any]:
        found = chosen.arguments(Situation.of_grid(at))
        if learned is not None:
            found = learned.arguments_for(kind, found if train else None)
        return with_settings(found, overrides)

    def built(at: SectionGrid) -> Method:
        return build_method(kind, name, arguments(at), grid=at, seed=seed)

    def refuses(at: SectionGrid, method: Method | None = None) -> str | None:
        method = method or built(at)
        reason = refusal(method, at, learns=learns)
        return learned.refusal(method, at.scale) if learned and reason is None else reason

    method = built(grid)
    reason = refuses(grid, method)
    if not resample and reason is None:
        return Choice(name, card, preset, arguments(grid), method, grid)
    way = Resampling.next(grid, refuses)
    if not resample or (reason and way is None):
        raise ConfigError(f"method '{name}' cannot do this volume: {reason}{_ways(grid, way, card.regime, learned)}")
    if reason is None or way is None:
        raise ConfigError(f"--resample: method '{name}' takes a scale of {grid.scale:g} as it is; leave it out")
    return Choice(name, card, preset, arguments(way.made), built(way.made), way.made, way)


def refusal(method: Method, grid: SectionGrid, *, learns: bool) -> str | None:
    """Why a method cannot do sections of a grid; None if it can.

    Args:
        method: Built for this grid.
        grid: Where sections lie.
        learns: Whether it has to learn from them first.
    """
    if reason := method.supports(grid.scale, grid):
        return reason
    if learns and grid.thin and not grid.scale.is_integer() and method.stages():
        return "it learns from sections that are kept as these were, which needs a whole scale"
    return None


def _ways(grid: SectionGrid, way: Resampling | None, regime: Regime, learned: Learned | None) -> str:
    """What to do about a scale that a method does not take."""
    if way is None:
        return "" if learned is None else "; weights that were learned at this scale would"
    made = f"; --resample makes {way.made.scale:g} sections of one and resamples them to {grid.scale:g}"
    if learned is not None:
        return made
    others = ", ".join([*takers(grid, regime), "bicubic"])
    return f"{made}, and a scale of {grid.scale:g} is taken by {others}"


def takers(grid: SectionGrid, regime: Regime) -> list[str]:
    """Built-in methods that can do sections of a grid and learn from what another one learns from."""
    found = []
    for name, entry in built_in_methods().items():
        kind, card, presets = entry.resolved()
        if card.regime == regime:
            with suppress(ConfigError):  # at other settings than these it may take it
                arguments = choose_preset(name, "smoke", presets)[1].arguments(Situation.of_grid(grid))
                method = build_method(kind, name, arguments, grid=grid, seed=0)
                found += [name] if refusal(method, grid, learns=regime == "self") is None else []
    return found


def prepare_method(
    choice: Choice,
    volume: Volume,
    *,
    train: str | None,
    minutes: float | None = None,
    weights: Path | None,
    scratch: Path,
    seed: int,
    device: str,
    progress: Progress,
    say: Say,
    faults: Faults = SOUND,
    memory: int | None = None,
    learn: bool = True,
    keep: Path | None = None,
) -> Method:
    """A method that is ready to reconstruct: training-free, with given weights, or trained on the volume itself.

    With weights and a training, it goes on from the weights.

    Args:
        choice: The method.
        volume: Knows where its sections lie.
        train: Preset of a training.
        minutes: What the training takes, where not as long as the preset says.
        weights: File of weights.
        scratch: Where the training is kept.
        seed: Of the training.
        device: Where the method will run.
        progress: Told phase, finished share, and how the training goes.
        say: Told what the training leaves out, and how long it is.
        faults: What is wrong with the sections.
        memory: Most bytes that the process may take.
        learn: Without it the method is not trained, and takes as long for a tile as if it were.
        keep: File of weights to write after a training.

    Raises:
        ConfigError: If a method that learns gets neither weights nor a training preset, or the file to keep exists
            before anything was trained.
        DataError: If weights do not fit, or too little is left to learn from.
    """
    from vemrecon.fit.stages import all_finished, chosen_weights, load_weights, trained_parts
    from vemrecon.fit.stages import train as fit

    name, card, method, arguments = choice.name, choice.card, choice.method, choice.arguments
    build = partial(build_method, type(method), name, grid=choice.grid, seed=seed)
    trains = bool(method.stages()) and learn and (weights is None or train is not None)
    if trains:
        if train is None:
            raise ConfigError(f"method '{name}' learns: give --weights FILE, or --train cpu to train it on this volume")
        if card.regime != "self":
            raise ConfigError(f"method '{name}' needs isotropic truth to learn from; give --weights FILE")
        if line := faults.text(volume.shape[0]):
            say(line)
        source = learning_source(volume, faults, card.regime, memory)
        facts = [name, card.version, choice.preset, arguments, seed, list(volume.shape), volume.name]
        facts += [sorted(faults.unfit), sorted(faults.displaced)]
        if weights is not None:
            facts.append(checksum(weights))
        length = Length(arguments)
        if minutes is not None:
            length = length_of(
                minutes, type(method), arguments, build, source, scratch,
                identity=digest_of(facts), seed=seed, device=device, progress=progress, say=say,
            )  # fmt: skip
            method, facts = build(length.arguments), [*facts, length.arguments]
    if weights is not None:
        load_weights(method, weights, trained_parts(method))
    if trains:
        if keep is not None and keep.exists() and not all_finished(method, scratch, digest_of(facts)):
            raise ConfigError(f"{keep}: already exists; remove it or choose another name")
        fit(
            method, source, scratch, identity=digest_of(facts), seed=seed, devices=[device],
            watch=length.watch, progress=progress,
        )  # fmt: skip
        choosy = {stage.name for stage in method.stages() if stage.choice.chooses}
        for stage, chosen in chosen_weights(scratch).items():
            if stage in choosy:
                say(f"weights of stage '{stage}': {chosen.text}")
        if keep is not None:
            regions = (LearnedRegion(volume.name),)  # where it lies in which file is not known here
            Learned(keep, name, length.arguments, choice.grid, regions).keep(method)
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
    at: bool,
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
        at: Whether it is to make sections at any depth.

    Raises:
        ConfigError: With what to choose instead.
        DataError: If the weights cannot be read.
    """
    kind, card, presets = method_entry(name).resolved()
    asked = "--train" if minutes is None else "--train-minutes"
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
    _, chosen = choose_preset(name, check_preset(train or "cpu"), presets)
    grid = SectionGrid.slabs(scale or USUAL_SCALE)
    arguments = chosen.arguments(Situation.of_grid(grid))
    if weights is not None:
        arguments = Learned.read(weights).arguments_for(kind, arguments if train else None)
    arguments = with_settings(arguments, overrides)
    check_inner_names(kind, name, arguments, overrides)
    if minutes is not None and (both := sorted(set(overrides) & set(lengths(kind, arguments)))):
        raise ConfigError(f"--set {both[0]}: counts batches, as --train-minutes does; leave one of them out")
    if not (uncertainty or missing or at):
        return
    try:
        method = build_method(kind, name, arguments, grid=grid, seed=0)
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
    if at and not method.continuous:
        raise ConfigError(
            f"--at: method '{name}' makes sections where voxels lie alone; interpolation, EMGauss, AENet, DGEAN and "
            f"vEMDiffuse with depth: fraction make them at any depth"
        )
