"""Instances of methods: checked arguments, the task's scale and grid, and weights that depend on the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from vemrecon.arguments import argument_names, check_arguments
from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.base import Method
from vemrecon.seeding import derive_seed
from vemrecon.volume import SectionGrid


def build_method(
    kind: type[Method], name: str, arguments: Mapping[str, Any], *, grid: SectionGrid, seed: int
) -> Method:
    """A method for one task. A constructor argument named `scale` or `grid` gets that of the task.

    The grid is a canonical one for methods that do not take any (`Method.any_grid`).

    Raises:
        ConfigError: If an argument is unknown or not accepted.
    """
    known = argument_names(kind)
    for argument in arguments:
        if argument not in known:
            raise unknown(f"argument of {name}", argument, known)
    taken = grid if kind.any_grid else grid.canonical
    task = {key: value for key, value in (("scale", grid.scale), ("grid", taken)) if key in known}
    try:
        method = initialise(lambda: kind(**{**task, **arguments}), seed)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"method '{name}' does not accept {dict(arguments)}: {error}") from error
    method.seed = seed
    return method


def check_inner(kind: type[Method], name: str, arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse arguments of arguments that a method cannot be made with, by making it.

    Args:
        kind: Its class.
        name: For the message.
        arguments: All that it is made with, apart from the task's.
        settings: Those of them that were changed; nothing is made unless one leads into a mapping, or is one.

    Raises:
        ConfigError: If it does not accept them.
    """
    if not any("." in setting or isinstance(value, Mapping) for setting, value in settings.items()):
        return
    check_inner_names(kind, name, arguments, settings)
    try:
        build_method(kind, name, arguments, grid=SectionGrid.kept_every(8), seed=0)
    except ConfigError as error:
        raise ConfigError(f"method '{name}' does not accept {dict(settings)}: {error.__cause__ or error}") from error


def check_inner_names(kind: type[Method], name: str, arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse changed arguments of arguments whose name or type the class that gets them does not have.

    Raises:
        ConfigError: With the closest name.
    """
    for outer, inner in kind.inner(arguments).items():
        changed = {path.partition(".")[2]: value for path, value in settings.items() if path.startswith(f"{outer}.")}
        whole = settings.get(outer)
        changed |= whole if isinstance(whole, Mapping) else {}
        check_arguments(inner, f"{name}.{outer}", changed, given=argument_names(inner))


def initialise(build: Callable[[], Method], seed: int) -> Method:
    """Build with weights that depend on the seed alone, leaving the global random state as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "weights"))
        return build()
