"""`ChosenMethod`: a method as a request asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vemrecon.arguments import check_arguments
from vemrecon.bench.request import Request
from vemrecon.bench.spec import MethodVariant
from vemrecon.errors import ConfigError
from vemrecon.methods.card import MethodCard
from vemrecon.methods.registry import choose_preset, method_entry, with_settings


@dataclass(frozen=True)
class ChosenMethod:
    """Identity of a method, the preset that it runs with, and its card."""

    variant: MethodVariant
    preset: str
    card: MethodCard

    @property
    def learns(self) -> bool:
        """Whether it keeps cores busy while it learns."""
        return self.card.regime != "none"

    @property
    def needs_training(self) -> bool:
        """Whether it learns before it sees the observed volume."""
        return self.learns and not self.card.at_test


def chosen_methods(request: Request) -> tuple[ChosenMethod, ...]:
    """The methods of a request, their arguments checked.

    A built-in method is imported only if one of its arguments is set, because its presets are known to fit.

    Raises:
        VemreconError: If a name is unknown, a class cannot be loaded, or does not take its arguments.
    """
    return tuple(_chosen(asked, request) for asked in request.methods)


def _chosen(asked: str, request: Request) -> ChosenMethod:
    entry = method_entry(asked)
    changed = request.set.get(asked, {})
    kind, card, presets = None, entry.card, entry.presets
    if card is None or changed:
        kind, card, presets = entry.resolved()
    preset, arguments = choose_preset(entry.name, request.preset, presets)
    arguments = with_settings(arguments, changed)
    if kind is not None:
        from vemrecon.methods.build import check_inner  # brings torch, as the class does

        check_arguments(kind, entry.name, arguments)
        check_inner(kind, entry.name, arguments, changed)
        _check_length(request, kind, asked, arguments, changed)
    label = ",".join(f"{key}={value}" for key, value in sorted(changed.items()))
    variant = MethodVariant(
        name=f"{entry.name}[{label}]" if label else entry.name,
        entry=asked,
        class_path=entry.class_path,
        version=card.version,
        arguments=arguments,
    )
    return ChosenMethod(variant, preset, card)


def _check_length(
    request: Request, kind: type[Any], asked: str, arguments: Mapping[str, Any], changed: Iterable[str]
) -> None:
    """Refuse batches that are counted where a time is given."""
    from vemrecon.methods.batches import lengths

    if request.track and (both := sorted(set(changed) & set(lengths(kind, arguments)))):
        raise ConfigError(f"--set {asked}.{both[0]}: counts batches, as --track does; leave one of them out")
