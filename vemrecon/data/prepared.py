"""Prepared volumes: where they live, and how a finished one that belongs to a raw file is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vemrecon.data.inspect import Inspection
from vemrecon.errors import DataError
from vemrecon.files import read_json


def prepared_path(data_root: Path, card_name: str, key: str, digest: str) -> Path:
    """Where the prepared volume of a dataset's file lives.

    Args:
        data_root: Folder of dataset files.
        card_name: Name of the dataset.
        key: Which of its files.
        digest: sha256 of the raw file.
    """
    return data_root / "prepared" / f"{card_name}-{key}-{digest[:12]}.zarr"


def prepared_volume(folder: Path, digest: str) -> Path | None:
    """The folder, if it is a finished prepared volume of the raw file with this digest."""
    return folder if _facts(folder).get("digest") == digest else None


def prepared_inspection(folder: Path) -> Inspection:
    """What was found in the raw file while it was prepared.

    Raises:
        DataError: If the folder is no prepared volume.
    """
    facts = _facts(folder)
    if "inspection" not in facts:
        raise DataError(f"{folder}: not a volume written by `vemrecon prepare`")
    return Inspection.from_json(facts["inspection"])


def _facts(folder: Path) -> Mapping[str, Any]:
    """Attributes that are written last, when all voxels are."""
    try:
        facts = read_json(folder / "zarr.json")["attributes"]["vemrecon"]["prepared"]
    except (DataError, OSError, KeyError, TypeError):
        return {}
    return facts if isinstance(facts, Mapping) else {}
