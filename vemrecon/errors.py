"""The errors that a user is meant to read: the command line prints their message and exits with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VemreconError(Exception):
    """A mistake that the user can mend; the message says what was given, what was expected and what to do."""


class ConfigError(VemreconError):
    """An option, preset, suite or name that cannot be used."""


class OutputError(VemreconError):
    """A place that cannot be written: full disk, no permission. Finished work is kept, and the same command goes on."""


class DataError(VemreconError):
    """A file or volume that is missing, damaged or not what it is said to be."""


class LeakError(VemreconError):
    """A method asked for data that its regime forbids."""


class PluginError(VemreconError):
    """Something of another package that cannot be found, told from others, or loaded."""


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Error for a name that does not exist, with the closest one that does.

    >>> str(unknown("method", "bicubik", ["bicubic", "linear"]))
    "unknown method 'bicubik': did you mean 'bicubic'? Known: bicubic, linear"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return ConfigError(f"unknown {kind} {name!r}: {hint}Known: {', '.join(names) or 'none'}")
