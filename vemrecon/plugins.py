"""What other packages announce under the entry points `vemrecon.*`, and classes by their class paths.

Listing reads the metadata of installed packages and imports nothing; what is asked for is imported then.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from vemrecon.errors import PluginError, unknown

Kind = Literal["method", "metric", "degradation", "dataset", "segmenter"]
"""What can be announced, each in a group of its own: `vemrecon.methods`, ..."""
PROJECT = "vemrecon"
"""Package of what is built in."""
BUILT_IN = "builtin"
"""What stands before the name of something that is built in, where another package has one of that name."""


@dataclass(frozen=True)
class Announced:
    """Something that a package offers under a name."""

    kind: Kind
    name: str
    package: str
    place: str
    """`package.module.Name`; empty for what is built in."""

    @property
    def built_in(self) -> bool:
        """Whether it is of this project."""
        return not self.place

    @property
    def full_name(self) -> str:
        """What means this one and no other."""
        return f"{BUILT_IN if self.built_in else self.package}:{self.name}"

    def load(self) -> Any:
        """What stands at its place.

        Raises:
            PluginError: If it cannot be imported.
        """
        return load(f"{self.kind} '{self.name}' of the package {self.package}", self.place)


def announced(kind: Kind) -> list[Announced]:
    """What installed packages announce, sorted by name."""
    points = importlib.metadata.entry_points(group=f"vemrecon.{kind}s")
    found = {
        Announced(kind, point.name, point.dist.name if point.dist else "unknown package", point.value.replace(":", "."))
        for point in points
    }
    return sorted(found, key=lambda one: (one.name, one.package, one.place))


def meant(kind: Kind, word: str, built_in: Collection[str]) -> Announced | None:
    """What is meant by NAME, builtin:NAME or PACKAGE:NAME; None if there is nothing of the kind.

    A name alone means what is built in, if anything is: what has worked goes on to work, whatever is installed.

    Args:
        kind: Of what is meant.
        word: As a user gives it.
        built_in: Names that this project has.

    Raises:
        PluginError: If several packages have the name, with how to say which.
    """
    package, _, name = word.rpartition(":")
    if name in built_in and package in ("", BUILT_IN):
        return Announced(kind, name, PROJECT, "")
    owners = [one for one in announced(kind) if one.name == name and package in ("", one.package)]
    if len(owners) > 1:
        packages = " and ".join(sorted({one.package for one in owners}))
        words = " or ".join(sorted({one.full_name for one in owners}))
        raise PluginError(f"{kind} '{name}' is provided by {packages}; say {words}")
    return owners[0] if owners else None


def named(one: Announced, built_in: Collection[str]) -> str:
    """Name under which something of a package is known: with its package where the name alone means another."""
    alone = one.name not in built_in and sum(other.name == one.name for other in announced(one.kind)) == 1
    return one.name if alone else one.full_name


def shadowed(kind: Kind, words: Collection[str], built_in: Collection[str]) -> Iterator[str]:
    """What to say where a name means what is built in, and another package has one of that name, too."""
    for one in announced(kind):
        if one.name in words and one.name in built_in:
            yield f"{kind} '{one.name}' is the built-in one; that of the package {one.package} is {one.full_name}"


def class_path_of(words: str) -> str:
    """`package.module.Class` of that or of `package.module:Class`; it may lead into the current folder."""
    if str(Path.cwd()) not in sys.path:  # last, so that no file of the current folder hides a package
        sys.path.append(str(Path.cwd()))
    return words.replace(":", ".")


def load(what: str, place: str) -> Any:
    """Import what stands at a place.

    Args:
        what: What it is to be, with its name, for messages.
        place: `package.module.Name`

    Raises:
        PluginError: If it cannot be imported.
    """
    module, _, name = place.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # one that the module imports
            raise PluginError(f"{what} ({place}) cannot be loaded: {error}") from error
        raise PluginError(
            f"{what}: no module '{error.name}' is installed, nor in the current folder {Path.cwd()}"
        ) from error
    except Exception as error:  # a plugin may fail in any way while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PluginError(f"{what} ({place}) cannot be loaded: {reason}") from error


def load_class(what: str, class_path: str, base: type[Any], public: str) -> Any:
    """Import a class; whoever asks says what type it is, since types of abstract classes cannot be stated.

    Args:
        what: See `load`.
        class_path: Likewise.
        base: What it must be a subclass of.
        public: Where users find that.

    Raises:
        PluginError: If it cannot be imported or is no such class.
    """
    found = load(what, class_path)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{what}: {class_path} is not a subclass of {public}")
    return found


@dataclass(frozen=True)
class Origin:
    """Where the code of something of another package comes from.

    Attributes:
        distribution: What is installed; empty for a module that is in a folder only.
        version: Of the distribution.
        source: sha256 of all files of the package, whatever is installed under that version.
        weights: sha256 of the files of weights that it brings, by their names.
    """

    distribution: str
    version: str
    source: str
    weights: Mapping[str, str] = field(default_factory=dict)


def origin_of(class_path: str, package: str, weights: Mapping[str, str]) -> Origin | None:
    """Where a class comes from; None for one of this project, whose commit is kept anyway.

    Args:
        class_path: `package.module.Class`
        package: Distribution that announces it, or that of the same name as its package.
        weights: See `Origin`.
    """
    if class_path.startswith(f"{PROJECT}."):
        return None
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        package, version = "", ""
    return Origin(package, version, code_digest(class_path), dict(weights))


@cache
def code_digest(class_path: str) -> str:
    """sha256 of the source of a class: see `source_files`; empty if that is not found."""
    top, files = source_files(class_path)
    digest = hashlib.sha256()
    for number, file in enumerate(files):
        digest.update(b"\0" * (number > 0))
        if not class_path.startswith(f"{PROJECT}."):
            digest.update(f"{file.relative_to(top).as_posix()}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest() if files else ""


def source_files(class_path: str) -> tuple[Path, list[Path]]:
    """A folder, and the files in it that decide what a class does, sorted; found without importing anything.

    Of another package that is all of its files, of a module alone its own; of this project it is the module, or the
    folder of a class that has one.
    """
    file = source_file(class_path)
    if file is None:
        return Path(), []
    folder = file.parent
    if not (folder / "__init__.py").exists():
        return folder, [file]
    if class_path.startswith(f"{PROJECT}."):
        alone = file.name != "__init__.py" and folder.name == "methods"
        return folder, [file] if alone else sorted(folder.glob("*.py"))
    while (folder.parent / "__init__.py").exists():
        folder = folder.parent
    every = (one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
    return folder, sorted(one for one in every if one.suffix != ".pyc")


def source_file(class_path: str) -> Path | None:
    """File of the module of a class, found without importing anything; None if there is none."""
    *parts, _ = class_path.split(".")
    for root in sys.path:
        place = Path(root or ".", *parts)
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if parts and file.is_file():
            return file
    return None


Thing = TypeVar("Thing")


class Catalogue(Mapping[str, Thing]):
    """Things of a kind by name: those that are built in, then those of packages, which are imported when asked for.

    Args:
        kind: Of the things.
        own: What is built in.
        read: Makes a thing of what stands at a place, or refuses it; called once.
    """

    def __init__(self, kind: Kind, own: Mapping[str, Thing], read: Callable[[Announced], Thing]) -> None:
        self.kind, self.own, self._read = kind, own, read
        self.others = {named(one, own): one for one in announced(kind)}
        self._known: dict[str, Thing] = {}

    def __getitem__(self, name: str) -> Thing:
        """A thing by name.

        Raises:
            PluginError: If several packages have the name, or what stands there cannot be used.
        """
        one = meant(self.kind, name, self.own)
        if one is None:
            raise KeyError(name)
        if one.built_in:
            return self.own[one.name]
        if one.full_name not in self._known:
            self._known[one.full_name] = self._read(one)
        return self._known[one.full_name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and meant(self.kind, name, self.own) is not None

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.others

    def __len__(self) -> int:
        return len(self.own) + len(self.others)

    def canonical(self, name: str) -> str:
        """The one name of what is meant by a word.

        Raises:
            ConfigError: If nothing is.
            PluginError: If several packages have the name.
        """
        one = meant(self.kind, name, self.own)
        if one is None:
            raise unknown(self.kind, name, self)
        return one.name if one.built_in else named(one, self.own)

    def get_usable(self, name: str) -> Thing | None:
        """A thing by name; None if there is none, or it cannot be loaded."""
        with suppress(PluginError, KeyError):
            return self[name]
        return None

    def usable(self) -> dict[str, Thing]:
        """All but those that cannot be loaded."""
        found = {name: self.get_usable(name) for name in self}
        return {name: thing for name, thing in found.items() if thing is not None}
