"""Classes of other packages, or of the current folder, by their class paths."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from vemrecon.errors import PluginError


def class_path_of(words: str) -> str:
    """`package.module.Class` of that or of `package.module:Class`; it may lead into the current folder."""
    if str(Path.cwd()) not in sys.path:  # last, so that no file of the current folder hides a package
        sys.path.append(str(Path.cwd()))
    return words.replace(":", ".")


def load_class(what: str, class_path: str, base: type[Any], public: str) -> Any:
    """Import a class; whoever asks says what type it is, since types of abstract classes cannot be stated.

    Args:
        what: What it is to be, with its name, for messages.
        class_path: See `class_path_of`.
        base: What it must be a subclass of.
        public: Where users find that.

    Raises:
        PluginError: If it cannot be imported or is no such class.
    """
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # one that the module imports
            raise PluginError(f"{what} ({class_path}) cannot be loaded: {error}") from error
        raise PluginError(
            f"{what}: no module '{error.name}' is installed, nor in the current folder {Path.cwd()}"
        ) from error
    except Exception as error:  # a plugin may fail in any way while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PluginError(f"{what} ({class_path}) cannot be loaded: {reason}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{what}: {class_path} is not a subclass of {public}")
    return found
