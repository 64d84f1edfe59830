"""Options: fields of dataclasses, read from the words of a command line and from the values of YAML alike.

A field is the only place where an option's type, default, choices and help stand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from vemrecon.errors import ConfigError, unknown

Choices = Collection[str] | Callable[[], Collection[str]]


@dataclass(frozen=True)
class Option:
    """What the type of a field does not say about its option."""

    help: str
    metavar: str | tuple[str, ...] | None = None
    choices: Choices = ()
    """Names that are known, or a function that gives them, called when they are needed."""
    noun: str = ""
    """What an unknown name is called."""
    read: Callable[[Any], Any] | None = None
    """Reads a word, or a value of YAML, where the type is not enough; of each element where there are several."""
    least: int | None = None
    unset: str = ""
    """What it means to leave it out, where the default does not say it."""
    whole: bool = False
    """Whether words may hold spaces and commas of their own."""
    bare: bool = False
    """Whether it says something without a value, too."""
    positional: bool = False
    also: tuple[str, ...] = ()
    """Other ways to write it."""

    def known(self) -> Collection[str]:
        """Names that can be given; it may hold more words for them than it lists."""
        return self.choices() if callable(self.choices) else self.choices


def option(help: str, default: Any = MISSING, *, factory: Any = MISSING, **more: Any) -> Any:
    """A field of a dataclass that is an option; `more` are the fields of `Option`."""
    return field(default=default, default_factory=factory, metadata={"option": Option(help, **more)})


def options_of(kind: type[Any]) -> dict[str, Option]:
    """The fields of a dataclass that are options, by name."""
    return {one.name: one.metadata["option"] for one in fields(kind) if "option" in one.metadata}


def default_of(kind: type[Any], name: str) -> Any:
    """Default of an option, or `MISSING`."""
    (one,) = (one for one in fields(kind) if one.name == name)
    return one.default if one.default_factory is MISSING else one.default_factory()


def flag(name: str) -> str:
    """How an option is written on the command line."""
    return "--" + name.replace("_", "-")


class Options:
    """Base of dataclasses of options: whatever they are made from, their fields hold checked values.

    Raises:
        ConfigError: If one cannot be read, or is not one of its choices.
    """

    @classmethod
    def parts(cls) -> tuple[type[Any], ...]:
        """Dataclasses whose fields are the options of a command that takes this one."""
        return (cls,)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the words of the options that were given.

        Raises:
            ConfigError: If one is missing, or cannot be read.
        """
        if missing := [name for name in options_of(cls) if name not in given and default_of(cls, name) is MISSING]:
            words = [f"{_label(cls, name)} ({options_of(cls)[name].help})" for name in missing]
            takers = [flag(name) for name, value in given.items() if isinstance(value, list | tuple) and len(value) > 1]
            greedy = takers and any(options_of(cls)[name].positional for name in missing)
            hint = f", before {' and '.join(takers)}: that takes all words behind it" if greedy else ""
            raise ConfigError(f"give {' and '.join(words)}{hint}")
        return cls(**given)

    def __post_init__(self) -> None:
        for name in options_of(type(self)):
            value = getattr(self, name)
            if value is not None or not field_type(type(self), name)[1]:
                object.__setattr__(self, name, read_option(type(self), name, value))


def field_type(kind: type[Any], name: str) -> tuple[Any, bool]:
    """Type of an option, and whether it may be left out (None)."""
    hint = _hints(kind)[name]  # type: ignore[arg-type]  # classes of any kind can be hashed
    if get_origin(hint) in (Union, UnionType):
        inner = [part for part in get_args(hint) if part is not NoneType]
        return inner[0], True
    return hint, False


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def choices_of(kind: type[Any], name: str) -> tuple[str, ...]:
    """Names that an option takes, where they are few and fixed."""
    hint, _ = field_type(kind, name)
    return get_args(hint) if get_origin(hint) is Literal else tuple(options_of(kind)[name].known())


def read_option(kind: type[Any], name: str, value: Any) -> Any:
    """Value of one option.

    Raises:
        ConfigError: If it cannot be read, or is not one of the choices.
    """
    hint, _ = field_type(kind, name)
    facts = options_of(kind)[name]
    label = _label(kind, name)
    if get_origin(hint) is tuple:
        element, *rest = get_args(hint)
        words = _words(value, facts.whole)
        if rest != [...] and len(words) != len(rest) + 1:
            raise ConfigError(f"{label} {_text(value)}: must be {len(rest) + 1} values, not {len(words)}")
        return tuple(_read(label, element, word, facts) for word in words)
    return _read(label, hint, value, facts)


def _label(kind: type[Any], name: str) -> str:
    """How an option is called in messages."""
    return name if options_of(kind)[name].positional else flag(name)


def _words(value: Any, whole: bool) -> list[Any]:
    """Words separated by spaces or commas, as they come from a shell, from make or from a YAML string."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    if whole:
        return values
    return [word for one in values for word in (one.replace(",", " ").split() if isinstance(one, str) else [one])]


def _read(label: str, hint: Any, value: Any, facts: Option) -> Any:
    if facts.read is not None:
        return facts.read(value)
    if get_origin(hint) is Literal:
        return _choice(label, value, get_args(hint), facts)
    if hint is bool:
        return _truth(label, value)
    if isinstance(value, bool | list | tuple | Mapping):
        raise ConfigError(f"{label} {_text(value)}: must be {_NOUNS.get(hint, 'one value')}")
    if hint is int:
        return _integer(label, value, facts.least)
    if hint is float:
        return _number(label, value)
    if hint is Path:
        return Path(str(value))
    return _choice(label, str(value), facts.known(), facts) if facts.choices else str(value)


_NOUNS = {int: "a whole number", float: "a number", Path: "a path", str: "a name"}


def _choice(label: str, value: Any, known: Iterable[str], facts: Option) -> str:
    if value not in known:
        raise unknown(facts.noun or f"value of {label}", str(value), known)
    return str(value)


def _truth(label: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{label} {_text(value)}: must be true or false")
    return value


def _integer(label: str, value: Any, least: int | None) -> int:
    try:
        number = int(value)
        if number != float(value):
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{label} {value}: must be a whole number") from error
    if least is not None and number < least:
        raise ConfigError(f"{label} {value}: must be at least {least}")
    return number


def _number(label: str, value: Any) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise ConfigError(f"{label} {value}: must be a number") from error


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
