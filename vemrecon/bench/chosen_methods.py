"""`ChosenMethod`: a method as a request asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.arguments import check_arguments
from vemrecon.bench.request import Request
from vemrecon.bench.spec import WEIGHTS, MethodVariant, Task
from vemrecon.degradations import make_degradation
from vemrecon.errors import ConfigError
from vemrecon.methods.card import MethodCard
from vemrecon.methods.condition import Situation
from vemrecon.methods.preset import Preset
from vemrecon.methods.recipe import PROGRAM, program_origin
from vemrecon.methods.registry import (
    PRESET_FILES,
    MethodEntry,
    choose_preset,
    has_preset,
    lacking,
    method_entry,
    presets_with,
    with_settings,
)
from vemrecon.plugins import Origin, origin_of

if TYPE_CHECKING:
    from vemrecon.fit.learned import Learned


@dataclass(frozen=True)
class ChosenMethod:
    """A method, the preset that it runs with, and its card.

    Attributes:
        name: For tables: with the arguments that were changed.
        asked: What it is loaded by: its name, or a class path.
        class_path: `package.module.Class`
        card: What it says about itself.
        preset: Name of the preset.
        recipe: The preset.
        changed: Arguments that take the place of those of the preset.
        learned: What it is given that it has learned before.
        goes_on: Whether it learns more then.
        origin: Where its code comes from, if that is another package.
    """

    name: str
    asked: str
    class_path: str
    card: MethodCard
    preset: str
    recipe: Preset
    changed: Mapping[str, Any]
    learned: Learned | None = None
    goes_on: bool = False
    origin: Origin | None = None

    def arguments(self, situation: Situation) -> dict[str, Any]:
        """What it is made with for a task."""
        found = self.recipe.arguments(situation)
        if self.learned is not None:
            found = self.learned.arguments_for(method_entry(self.asked).load(), found if self.goes_on else None)
        return with_settings(found, self.changed)

    def variant(self, task: Task, learning: Mapping[str, Any] | None = None) -> MethodVariant:
        """Its identity on a task, and with what it learns from, as a specification of runs has it."""
        arguments = self.arguments(situation_of(task, learning))
        origin = program_origin(self.asked, arguments) if self.class_path == PROGRAM else self.origin
        return MethodVariant(self.name, self.asked, self.class_path, self.card.version, arguments, origin)

    @property
    def learns(self) -> bool:
        """Whether it keeps cores busy while it learns."""
        return self.card.regime != "none" and (self.learned is None or self.goes_on)

    @property
    def has_learned(self) -> bool:
        """Whether there is something that it has learned before it sees the observed volume."""
        return self.card.regime != "none" and not self.card.at_test


def situation_of(task: Task, learning: Mapping[str, Any] | None = None) -> Situation:
    """What presets may depend on: where a method learns on another dataset or at another scale, that one."""
    found = learning or {}
    datasets = {part["dataset"] for part in found.get("from", ())} or {task.dataset}
    dataset = next(iter(datasets)) if len(datasets) == 1 else ""
    return Situation(float(found.get("scale", task.scale)), task.degradation.name, dataset)


def chosen_methods(request: Request) -> tuple[ChosenMethod, ...]:
    """The methods of a request, their arguments checked.

    A built-in method is imported only if one of its arguments is set, because its presets are known to fit.

    Raises:
        VemreconError: If a name is unknown, a class cannot be loaded, or does not take its arguments; with the names of
            all methods that do not have the preset.
    """
    preset, file = request.preset, Path(request.preset) if request.preset.endswith(PRESET_FILES) else None
    entries = [(asked, method_entry(asked)) for asked in request.methods]
    found = [_facts(entry, bool(request.set.get(asked) or file)) for asked, entry in entries]
    presets = {entry.asked: one[2] for (_, entry), one in zip(entries, found, strict=True)}
    if file:
        preset, presets = presets_with(file, presets)
    if len(without := {name: one for name, one in presets.items() if not has_preset(preset, one)}) > 1:
        raise ConfigError(f"{lacking(preset, without)}; leave them out, or run them with a preset that they have")
    return tuple(
        _chosen(request, asked, entry, kind, card, preset, presets[entry.asked])
        for (asked, entry), (kind, card, _) in zip(entries, found, strict=True)
    )


def _facts(entry: MethodEntry, checked: bool) -> tuple[type[Any] | None, MethodCard, Mapping[str, Mapping[str, Any]]]:
    """Class, where arguments have to be checked with it, card and presets."""
    return (None, entry.card, entry.presets) if entry.card is not None and not checked else entry.resolved()


def _chosen(
    request: Request,
    asked: str,
    entry: MethodEntry,
    kind: type[Any] | None,
    card: MethodCard,
    preset: str,
    presets: Mapping[str, Mapping[str, Any]],
) -> ChosenMethod:
    changed = request.set.get(asked, {})
    label = ",".join(f"{key}={value}" for key, value in sorted(changed.items()))
    name = f"{entry.name}[{label}]" if label else entry.name
    preset, recipe = choose_preset(entry.name, preset, presets)
    origin = origin_of(entry.class_path, entry.package, {one.file: one.sha256 for one in card.weights})
    chosen = ChosenMethod(name, entry.asked, entry.class_path, card, preset, recipe, changed, origin=origin)
    if request.weights is not None and chosen.has_learned:
        chosen = _given(chosen, request.weights, request)
    if kind is not None:
        for arguments in _distinct(chosen.arguments(situation) for situation in _situations(request)):
            _check(request, kind, asked, entry.name, arguments, changed)
    return chosen


def _given(chosen: ChosenMethod, path: Path, request: Request) -> ChosenMethod:
    """The method with weights that are there.

    Raises:
        ConfigError: If they are those of another method or of other sections.
        DataError: If the file cannot be read.
    """
    from vemrecon.fit.learned import Learned  # brings torch

    learned = Learned.read(path)
    for name, scale in product(request.degradation, request.scale):
        grid = make_degradation(name, scale, request.set.get(name, {})).grid
        learned.require(chosen.asked, grid, f"degradation '{name}'")
    preset = chosen.preset if request.fine_tune else WEIGHTS
    return replace(chosen, preset=preset, learned=learned, goes_on=request.fine_tune)


def _situations(request: Request) -> Iterator[Situation]:
    scales = (*request.scale, *(one.scale for one in request.learn_from if one.scale))
    datasets = (*request.dataset, *(one.dataset for one in request.learn_from))
    yield from (Situation(*one) for one in product(scales, request.degradation, datasets))


def _distinct(each: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in each:
        if one not in found:
            found.append(one)
    return found


def _check(
    request: Request,
    kind: type[Any],
    asked: str,
    name: str,
    arguments: Mapping[str, Any],
    changed: Mapping[str, Any],
) -> None:
    """Refuse arguments that the method cannot be made with, and batches that are counted where a time is given."""
    from vemrecon.methods.batches import lengths
    from vemrecon.methods.build import check_inner  # brings torch, as the class does

    check_arguments(kind, name, arguments)
    check_inner(kind, name, arguments, changed)
    if request.track and (both := sorted(set(changed) & set(lengths(kind, arguments)))):
        raise ConfigError(f"--set {asked}.{both[0]}: counts batches, as --track does; leave one of them out")
