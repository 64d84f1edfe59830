"""Where files of weights are that cards of methods declare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vemrecon.data.locate import default_data_root
from vemrecon.errors import DataError, PluginError
from vemrecon.files import sha256_of
from vemrecon.methods.card import WeightFile
from vemrecon.plugins import source_file

FOLDER = "weights"
"""Of the data root, for files that do not come with their packages."""


def weight_file(class_path: str, declared: Sequence[WeightFile], name: str) -> Path:
    """A declared file, verified.

    Args:
        class_path: Of the method.
        declared: By its card.
        name: Of the file.

    Raises:
        PluginError: If it is not declared.
        DataError: If it is missing or is another one.
    """
    one = next((one for one in declared if one.file == name), None)
    if one is None:
        known = ", ".join(one.file for one in declared) or "none"
        raise PluginError(f"{class_path}: its card declares no weights '{name}' (declared: {known})")
    path = place_of(class_path, one)
    if not path.is_file():
        how = f"get it from {one.address}, or with `vemrecon fetch`" if one.address else "it should be in the package"
        raise DataError(f"{path}: weights of {class_path} are not there; {how}")
    if sha256_of(path) != one.sha256:
        raise DataError(f"{path}: not the weights that the card of {class_path} declares (other sha256)")
    return path


def place_of(class_path: str, one: WeightFile) -> Path:
    """Where a file is: beside the module of the method if it is there, else in the data root."""
    module = source_file(class_path)
    beside = module.with_name(one.file) if module else Path(one.file)
    return beside if beside.is_file() else default_data_root() / FOLDER / one.file
