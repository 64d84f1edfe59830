"""Files that a later attempt relies on. Each has a checksum, so that a damaged one is noticed, named and made again."""

from __future__ import annotations

import logging
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vemrecon.files import canonical_json, checksum, recalled, write_json

LOG = logging.getLogger(__name__)
CRC: Final = "crc32_of_this"
"""Key of the checksum that a mark has of its other facts."""


def write_mark(path: Path, facts: Mapping[str, Any]) -> None:
    """Write facts as JSON, with a checksum of them.

    Raises:
        OutputError: If it cannot be written.
    """
    write_json(path, {**facts, CRC: _crc(facts)})


def read_mark(path: Path) -> dict[str, Any]:
    """What `write_mark` wrote; nothing if it is missing or damaged. One without a checksum is of an earlier version."""
    found = recalled(path)
    return {} if intact(found) is False else {key: value for key, value in found.items() if key != CRC}


def intact(facts: Any) -> bool | None:
    """Whether facts are those that their checksum is of; None if they have none."""
    if not isinstance(facts, Mapping) or CRC not in facts:
        return None
    return bool(facts[CRC] == _crc({key: value for key, value in facts.items() if key != CRC}))


def _crc(facts: Mapping[str, Any]) -> int:
    try:
        return zlib.crc32(canonical_json(facts).encode())
    except ValueError:  # a number that no file of ours holds
        return -1


def remember(path: Path) -> None:
    """Note the checksums of a file, or of all files of a folder, beside it.

    Raises:
        OutputError: If they cannot be written.
    """
    write_mark(_beside(path), {"files": _sums(path)})


def whole(path: Path) -> bool:
    """Whether a file or folder is there and still what was written; so is one whose checksums nobody has noted."""
    if not path.exists():
        return False
    return not _beside(path).exists() or read_mark(_beside(path)).get("files") == _sums(path)


def set_aside(path: Path, what: str = "made again") -> Path:
    """Name what is damaged in the log, and rename it, so that it can be made again.

    Args:
        path: A file or a folder.
        what: Happens next.

    Returns:
        The new name: that of the file with `.damaged-1`, or the next number that is free.
    """
    number = 1
    while (away := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    _beside(path).unlink(missing_ok=True)
    path.rename(away)
    LOG.warning("%s: damaged, moved to %s; %s", path, away.name, what)
    return away


def intact_or_aside(path: Path) -> bool:
    """Whether a file or folder is there and what was written; one that is damaged is moved aside, to be made again."""
    if whole(path):
        return True
    if path.exists():
        set_aside(path)
    return False


def forget(path: Path) -> None:
    """Remove a file or folder with its checksums, if it is there."""
    _beside(path).unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sums")


def _sums(path: Path) -> dict[str, int | None]:
    """Checksums by the names of files inside of a folder; a file has no name inside of itself."""
    if path.is_file():
        return {"": checksum(path)}
    return {file.relative_to(path).as_posix(): checksum(file) for file in sorted(path.rglob("*")) if file.is_file()}
