"""Arguments of methods and degradations against the signature of their class, before anything is made of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vemrecon.errors import ConfigError, unknown

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
TASK_ARGUMENTS = ("scale", "grid")
"""Those of the task, which a class gets if its constructor has arguments of these names."""


def argument_names(kind: type[Any]) -> list[str]:
    """Names of the arguments of a constructor."""
    return [name for name, one in inspect.signature(kind).parameters.items() if one.kind in NAMED]


def check_arguments(
    kind: type[Any], owner: str, arguments: Mapping[str, Any], given: Collection[str] = TASK_ARGUMENTS
) -> None:
    """Refuse arguments that a class cannot be made with.

    Args:
        kind: The class.
        owner: Its name, for the message.
        arguments: What it is to be made with, apart from what is `given` later.
        given: Names of what is given later.

    Raises:
        ConfigError: If a name is unknown, a value has another type than the constructor states, or one is missing.
    """
    names = argument_names(kind)
    for name, value in arguments.items():
        if name not in names:
            raise unknown(f"argument of {owner}", name, names)
        if not fits(kind, name, value):
            hint = _hint(kind, name)
            if get_origin(hint) is Literal:
                raise unknown(f"{name} of {owner}", str(value), map(str, get_args(hint)))
            raise ConfigError(f"argument of {owner}: {name}={value} does not fit, it must be {type_text(hint)}")
    for name in names:
        required = inspect.signature(kind).parameters[name].default is inspect.Parameter.empty
        if required and name not in arguments and name not in given:
            raise ConfigError(f"{owner}: the argument '{name}' is missing")


def fits(kind: type[Any], name: str, value: Any) -> bool:
    """Whether a value has the type that a constructor states for an argument; anything fits where it states none."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    others = set(argument_names(kind)) - {name}
    parser.add_class_arguments(kind, as_group=False, fail_untyped=False, skip=others)
    try:
        parser.parse_object({name: value}, defaults=False)
    except ArgumentError:
        return False
    return True


def _hint(kind: type[Any], name: str) -> Any:
    try:
        return get_type_hints(kind.__init__)[name]
    except NameError:  # of a name that is imported for type checkers only
        return inspect.signature(kind).parameters[name].annotation


def type_text(hint: Any) -> str:
    """A type in short.

    >>> from collections.abc import Sequence
    >>> type_text(int), type_text(Sequence[int]), type_text(float | None)
    ('int', 'Sequence[int]', 'float | None')
    """
    return re.sub(r"\b\w+\.", "", inspect.formatannotation(hint))
