"""Methods by name: the built-in ones of `benchmark/methods/`, those of other packages, and any class path.

Listing loads no code of any method; a class is imported when it is asked for.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vemrecon import protocol
from vemrecon.errors import ConfigError, PluginError, unknown
from vemrecon.methods.card import MethodCard
from vemrecon.methods.preset import Preset
from vemrecon.plugins import class_path_of, load_class

if TYPE_CHECKING:
    from vemrecon.methods.base import Method

ENTRY_POINTS = "vemrecon.methods"
PRESETS = ("smoke", "cpu", "gpu10", "paper", "released")
"""What learned methods offer; `released` only those whose released code differs from their paper. A training-free
method has the one preset `default` in place of all of them."""


@dataclass(frozen=True)
class MethodEntry:
    """A method that can be asked for by name."""

    name: str
    class_path: str
    """`package.module.Class`"""
    package: str
    """Who provides it: `vemrecon` for built-in methods."""
    card: MethodCard | None = None
    """Known before loading only for built-in methods."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """As data; `choose_preset` reads one."""

    def load(self) -> type[Method]:
        """Import the class.

        Raises:
            PluginError: If it cannot be imported or is no Method.
        """
        from vemrecon.methods.base import Method

        found: type[Method] = load_class(f"method '{self.name}'", self.class_path, Method, "vemrecon.methods.Method")
        return found

    def resolved(self) -> tuple[type[Method], MethodCard, Mapping[str, Mapping[str, Any]]]:
        """Class, card and presets, wherever they stand.

        Raises:
            PluginError: If the class cannot be loaded or has no card.
        """
        found = self.load()
        card = self.card or found.card
        if card is None:
            raise PluginError(f"method '{self.name}': {self.class_path} states no MethodCard as its `card`")
        return found, card, self.presets or found.presets


def built_in_methods() -> dict[str, MethodEntry]:
    """Methods of this project."""
    return {name: _built_in(name) for name in protocol.names("methods")}


def _built_in(name: str) -> MethodEntry:
    facts = protocol.load("methods", name)
    return MethodEntry(name, facts["class_path"], "vemrecon", MethodCard(**facts["card"]), facts.get("presets", {}))


def plugin_methods() -> list[MethodEntry]:
    """Methods that installed packages announce under the entry point group `vemrecon.methods`."""
    return [
        MethodEntry(point.name, point.value.replace(":", "."), point.dist.name if point.dist else "unknown package")
        for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS))
    ]


def method_entry(name: str) -> MethodEntry:
    """A method by name, or by class path (`package.module.Class` or `package.module:Class`).

    A class path may lead into the current folder.

    Raises:
        PluginError: If two packages claim the name.
        ConfigError: If nobody does.
    """
    built_in = protocol.names("methods")
    owners = [_built_in(name)] if name in built_in else []
    owners += [entry for entry in plugin_methods() if entry.name == name]
    if len(owners) > 1:
        packages = " and ".join(sorted(entry.package for entry in owners))
        raise PluginError(f"method '{name}' is provided by {packages}; uninstall one, or give its class path instead")
    if owners:
        return owners[0]
    if "." in name or ":" in name:
        class_path = class_path_of(name)
        return MethodEntry(class_path.rpartition(".")[2], class_path, class_path.partition(".")[0])
    raise unknown("method", name, {*built_in, *(entry.name for entry in plugin_methods())})


def choose_preset(name: str, preset: str, presets: Mapping[str, Mapping[str, Any]]) -> tuple[str, Preset]:
    """The preset that a method runs with, and its name.

    Raises:
        ConfigError: If the method has presets, but not this one, or it cannot be read.
    """
    if set(presets) <= {"default"}:
        preset, presets = "default", {"default": {}, **presets}
    if preset not in presets:
        if preset in PRESETS:
            raise ConfigError(lacking(preset, {name: presets}))
        raise ConfigError(f"method '{name}': {unknown('preset', preset, presets)}")
    try:
        return preset, Preset.read(preset, presets)
    except ConfigError as error:
        raise ConfigError(f"method '{name}': {error}") from error


def has_preset(preset: str, presets: Mapping[str, Any]) -> bool:
    """Whether a method has a preset, or one in place of all."""
    return preset in presets or set(presets) <= {"default"}


def lacking(preset: str, methods: Mapping[str, Iterable[str]]) -> str:
    """What to say of methods that do not have a preset.

    Args:
        preset: Its name.
        methods: What they have, by their names.
    """
    words = (f"{name} (has {', '.join(presets)})" for name, presets in methods.items())
    return f"no preset '{preset}': {', '.join(words)}"


def with_settings(arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with some of them changed; dots lead into those that are mappings.

    >>> with_settings({"a": {"b": 1, "c": 2}}, {"a.b": 3, "d": 4})
    {'a': {'b': 3, 'c': 2}, 'd': 4}

    Raises:
        ConfigError: If a dot leads into an argument that is no mapping.
    """
    result = dict(arguments)
    for path, value in settings.items():
        first, dot, rest = path.partition(".")
        if dot:
            inner = result.get(first, {})
            if not isinstance(inner, Mapping):
                raise ConfigError(f"setting '{path}': argument '{first}' is a single value")
            value = with_settings(inner, {rest: value})
        result[first] = value
    return result


def check_preset(preset: str) -> str:
    """A preset name that at least one method may have.

    Raises:
        ConfigError: If it is not one of `PRESETS` or `default`.
    """
    if preset not in (*PRESETS, "default"):
        raise unknown("preset", preset, (*PRESETS, "default"))
    return preset
