"""Methods by name: the built-in ones of `benchmark/methods/`, those of other packages, and any class path.

Listing loads no code of any method; a class is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon import protocol
from vemrecon.errors import ConfigError, PluginError, unknown
from vemrecon.methods.card import MethodCard
from vemrecon.methods.preset import Preset
from vemrecon.methods.recipe import PROGRAM
from vemrecon.plugins import BUILT_IN, Announced, announced, class_path_of, load_class, meant, named

if TYPE_CHECKING:
    from vemrecon.methods.base import Method

PRESETS = ("smoke", "cpu", "gpu10", "paper", "released")
"""What learned methods offer; `released` only those whose released code differs from their paper. A training-free
method has the one preset `default` in place of all of them."""


EXTERNAL = "external:"
"""What stands before the name of a program."""
PRESET_FILES = (".yaml", ".yml")


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
    asked: str = ""
    """What it is found by again; by default its name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "asked", self.asked or self.name)

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
            ConfigError: If a file of its card or presets cannot be read.
        """
        found = self.load()
        card = self.card or found.card
        if isinstance(card, Path):
            card = MethodCard.read(card)
        if card is None:
            raise PluginError(f"method '{self.name}': {self.class_path} states no MethodCard as its `card`")
        presets = self.presets or found.presets
        return found, card, protocol.load_yaml(presets) if isinstance(presets, Path) else presets


def built_in_methods() -> dict[str, MethodEntry]:
    """Methods of this project."""
    return {name: _built_in(name) for name in protocol.names("methods")}


def _built_in(name: str) -> MethodEntry:
    facts = protocol.load("methods", name)
    return MethodEntry(
        name, facts["class_path"], "vemrecon", MethodCard.of(facts["card"], name), facts.get("presets", {})
    )


def plugin_methods() -> list[MethodEntry]:
    """Methods that installed packages announce under the entry point group `vemrecon.methods`."""
    return [_of_package(one) for one in announced("method")]


def _of_package(one: Announced) -> MethodEntry:
    return MethodEntry(named(one, protocol.names("methods")), one.place, one.package)


def method_entry(name: str) -> MethodEntry:
    """A method by name, by `builtin:NAME` or `PACKAGE:NAME`, or by class path (`package.module.Class`, `...:Class`).

    A class path may lead into the current folder.

    Raises:
        PluginError: If two packages claim the name.
        ConfigError: If nobody does.
    """
    built_in = protocol.names("methods")
    if found := meant("method", name, built_in):
        return _built_in(found.name) if found.built_in else _of_package(found)
    if name.startswith(EXTERNAL) or name.endswith(PRESET_FILES):
        return external_entry(name)
    if ("." in name or ":" in name) and not name.startswith(f"{BUILT_IN}:"):
        class_path = class_path_of(name)
        return MethodEntry(class_path.rpartition(".")[2], class_path, class_path.partition(".")[0], asked=name)
    raise unknown("method", name.removeprefix(f"{BUILT_IN}:"), {*built_in, *(e.name for e in plugin_methods())})


def external_entry(name: str) -> MethodEntry:
    """A program as a method, by `external:NAME` or by the path of its recipe.

    Raises:
        ConfigError: If there is no such recipe, or it cannot be used.
    """
    if name.startswith(EXTERNAL):
        facts, title = protocol.load("external", name.removeprefix(EXTERNAL)), name
    else:
        facts, title = protocol.load_yaml(Path(name)), f"{EXTERNAL}{Path(name).stem}"
    names = [one.name for one in fields(MethodCard)]
    card = MethodCard.of({key: value for key, value in facts.items() if key in names}, name)
    recipe = {key: value for key, value in facts.items() if key not in names}
    if "folder" in recipe and not name.startswith(EXTERNAL):
        recipe["folder"] = str(Path(name).parent / recipe["folder"])
    presets = {"default": {"recipe": recipe}}
    return MethodEntry(title, PROGRAM, "vemrecon", card, presets, asked=name)


def external_recipes() -> list[str]:
    """Names of the recipes that there are."""
    return [f"{EXTERNAL}{name}" for name in protocol.names("external")]


def recorded_entry(asked: str, class_path: str) -> MethodEntry:
    """The method of a run, which knows its class: whoever has come to have the same name since is another one.

    Raises:
        VemreconError: See `method_entry`.
    """
    known = [_built_in(asked)] if asked in protocol.names("methods") else []
    known += [entry for entry in plugin_methods() if asked in (entry.name, entry.name.rpartition(":")[2])]
    return next((entry for entry in known if entry.class_path == class_path), None) or method_entry(asked)


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


def presets_with(
    path: Path, methods: Mapping[str, Mapping[str, Any]]
) -> tuple[str, dict[str, Mapping[str, Mapping[str, Any]]]]:
    """Name of the preset in a file, and the presets of some methods with it.

    Args:
        path: A YAML file with a preset for each method, by its name; `like: paper` begins with one that it has.
        methods: What they have, by their names; those that learn nothing have the one preset `default`.

    Raises:
        ConfigError: If it is missing or cannot be read, has the name of another preset, or lacks a method that learns.
    """
    facts, name = protocol.load_yaml(path), path.stem
    if name in (*PRESETS, "default"):
        raise ConfigError(f"{path}: a preset of the name '{name}' is built in; give the file another name")
    for method, one in facts.items():
        if not isinstance(one, Mapping):
            raise ConfigError(f"{path}: {method}: must hold named arguments, not {one}")
    if lacking := [method for method, presets in methods.items() if method not in facts and set(presets) - {"default"}]:
        raise ConfigError(f"{path}: has no preset for {', '.join(lacking)} (has {', '.join(map(str, facts))})")
    return name, {
        method: {**presets, name: dict(facts[method])} if method in facts else dict(presets)
        for method, presets in methods.items()
    }


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
