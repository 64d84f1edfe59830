"""Parsers of commands, made from dataclasses of options; what several commands need to check about them."""

from __future__ import annotations

import re
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter

from vemrecon.errors import ConfigError, DataError
from vemrecon.file_options import RANGES
from vemrecon.options import Option, choices_of, default_of, field_type, flag, options_of


class HelpFormatter(DefaultHelpFormatter):
    """Help that ends with the choices and the default of an option, where it has them."""

    def _get_help_string(self, action: Any) -> str:
        facts: Option | None = getattr(action, "facts", None)
        known = action.known() if facts else ()
        unset = facts.unset if facts else ""
        parts = [f"one of: {', '.join(known)}"] if known else []
        if facts and action.needed and action.option_strings:
            parts.append("required")
        elif unset or action.default not in (None, [], (), {}, False, SUPPRESS):
            parts.append(f"default: {unset or words_of(action.default)}")
        return " ".join(filter(None, [action.help, f"({'; '.join(parts)})" if parts else ""]))


def words_of(value: Any) -> str:
    """A value as one would write it on the command line.

    >>> words_of((8.0, 2.5))
    '8 2.5'
    """
    if isinstance(value, tuple):
        return " ".join(map(words_of, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def add_options(parser: ArgumentParser, kind: type[Any]) -> None:
    """Give a parser the options of a dataclass: positional ones, those with a name, and inherited ones, in their order.

    Words are taken as they come: the dataclass reads them, as it reads the values of files.
    """
    own = vars(kind).get("__annotations__", {})
    found = sorted(options_of(kind).items(), key=lambda one: (not one[1].positional, one[0] not in own))
    for name, facts in found:
        hint, _ = field_type(kind, name)
        default = default_of(kind, name)
        action = (_add_positional if facts.positional else _add_flag)(parser, name, facts, hint, default)
        action.facts, action.known = facts, partial(choices_of, kind, name)  # only looked up when help is shown
        action.needed, action.required = default is MISSING, False  # the dataclass says what is missing, in its words


def _add_positional(parser: ArgumentParser, name: str, facts: Option, hint: Any, default: Any) -> Any:
    several = get_origin(hint) is tuple
    needed = default is MISSING
    nargs = ("+" if needed else "*") if several else (None if needed else "?")
    more: dict[str, Any] = {} if needed else {"default": None}  # without one, argparse takes it for required
    return parser.add_argument(name, nargs=nargs, help=facts.help, **more)


def _add_flag(parser: ArgumentParser, name: str, facts: Option, hint: Any, default: Any) -> Any:
    names = (flag(name), *facts.also)
    if hint is bool:
        action = ActionYesNo(no_prefix="no-") if default else "store_true"
        return parser.add_argument(*names, action=action, default=default, help=facts.help)
    element = get_args(hint)[0] if get_origin(hint) is tuple else hint
    adds = get_origin(hint) is Mapping  # --set may stand more than once
    return parser.add_argument(
        *names,
        action="extend" if adds else "store",
        nargs=("*" if facts.whole else "?") if facts.bare else _count(hint),
        metavar=facts.metavar or _METAVARS.get(element),
        default=None if default is MISSING or adds else default,
        help=facts.help,
    )


SIZE = "--voxel-size"
PREVIEW = "--preview"
_NUMBERS = re.compile(r"-?[\d.,]+")  # one or several, as they follow --preview
_METAVARS = {int: "N", float: "NUMBER", Path: "PATH"}


def _count(hint: Any) -> Any:
    """How many words an option takes."""
    if get_origin(hint) is not tuple:
        return "+" if isinstance(get_origin(hint), type) else None  # settings are NAME=VALUE ...
    return "+" if get_args(hint)[1:] == (...,) else len(get_args(hint))


def joined(words: Sequence[str]) -> list[str]:
    """The words of a command line, those of options that take none to three as one: others may then follow them.

    >>> joined(["evaluate", "--intensity-range", "auto", "--voxel-size", "z=8", "y=4", "truth.npy"])
    ['evaluate', '--intensity-range=auto', '--voxel-size=z=8 y=4', 'truth.npy']
    >>> joined(["reconstruct", "--preview", "in.tif", "--preview", "9", "20", "20", "out.tif"])
    ['reconstruct', '--preview=', 'in.tif', '--preview= 9 20 20', 'out.tif']
    """
    found: list[str] = []
    left = 0
    for n, word in enumerate(words):
        following = words[n + 1 :]
        if left and not word.startswith("--"):
            found[-1] += f"{' ' if '=' in found[-1] else '='}{word}"
            left -= 1
            continue
        found.append(word)
        left = _range_words(following) if word in RANGES else _size_words(following) if word == SIZE else 0
        if word == PREVIEW:
            found[-1] += "="
            left = next((k for k, one in enumerate(following) if not _NUMBERS.fullmatch(one)), len(following))
    return found


def _range_words(words: Sequence[str]) -> int:
    """How many words are a grey range."""
    return {"auto": 1, "percentile": 3}.get(words[0].lower() if words else "", 2)


def _size_words(words: Sequence[str]) -> int:
    """How many words are a voxel size: all that name an axis, or three numbers, which commas may join."""
    named = next((n for n, word in enumerate(words) if "=" not in word or word.startswith("--")), len(words))
    numbers = 0
    for n, word in enumerate(words):
        numbers += len(word.replace(",", " ").split())
        if numbers >= 3:
            return named or n + 1
    return named or len(words)


def settings(words: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """`NAME=VALUE` as named values; values are read as YAML."""
    from vemrecon.protocol import value_of

    if isinstance(words, Mapping):
        return dict(words)
    found = {}
    for text in words:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: must read ARGUMENT=VALUE")
        found[name] = value_of(value)
    return found


def device_of(word: str) -> str:
    """A torch device: cpu, cuda or cuda:N."""
    if word not in ("cpu", "cuda") and not (word.startswith("cuda:") and word[5:].isdigit()):
        raise ConfigError(f"--device {word}: must be cpu, cuda or cuda:N")
    return word


def require_devices(devices: Sequence[str]) -> None:
    """Refuse GPUs where there are none.

    Raises:
        ConfigError: If torch finds no CUDA device, or fewer than are named.
    """
    if any(device != "cpu" for device in devices):
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("--devices: this machine has no CUDA device that torch can use; leave it at cpu")
        count = torch.cuda.device_count()
        if wrong := [one for one in devices if (torch.device(one).index or 0) >= count]:
            raise ConfigError(f"--devices: there is no {wrong[0]} here; this machine has {count}, counted from cuda:0")


def require_runs(runs: Path) -> None:
    """Refuse a folder of runs that is not there."""
    if not runs.is_dir():
        raise DataError(f"{runs}: no such folder of runs; `vemrecon bench` makes one, or name it with --runs")
