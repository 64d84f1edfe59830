"""Files that appear whole or not at all, their names and checksums, and the one canonical JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from vemrecon.errors import DataError, OutputError


@contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`, and rename it to `path` only when the block ends without an error.

    Raises:
        OutputError: If the folder cannot be written, or the disk is full; the old file, if any, is untouched.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make a folder and those above it.

    Raises:
        OutputError: If that cannot be done.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    return path


def output_error(path: Path, error: OSError) -> OutputError:
    """One line for an output that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path}: the disk is full; free some space and start again, finished work is kept")
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def slug(text: str) -> str:
    """A name that every file system takes.

    >>> slug("local:raw.h5[x=1]")
    'local-raw.h5-x-1'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, or of the sorted relative names and bytes of all files in a folder."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space, the same bytes on every platform; NaN is refused.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """sha256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON (sorted keys, no NaN) atomically."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as file:
        file.write(text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a JSON file ({error})") from error


def recalled(path: Path) -> dict[str, Any]:
    """What an earlier attempt has left in a JSON file; nothing if it is missing or damaged."""
    try:
        known = read_json(path)
    except DataError:
        return {}
    return known if isinstance(known, dict) else {}


def checksum(path: Path) -> int | None:
    """CRC-32 of a file; None if it cannot be read."""
    found = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(16 << 20):
                found = zlib.crc32(piece, found)
    except OSError:
        return None
    return found


def reach_disk(files: Sequence[Path], above: Path) -> None:
    """Wait until files are on the disk, with their names in all folders up to `above`."""
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(above)}
    for path in (*files, *sorted(folders, reverse=True)):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


FORMULA = (
    tuple("=+-@\t\r\n")
    + tuple("\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}")
    + ("\N{FULLWIDTH COMMERCIAL AT}",)
)
"""What text begins with that spreadsheets take for a formula."""


def csv_cell(text: str) -> str:
    """Text for a CSV file, which no spreadsheet takes for a formula; numbers stay numbers.

    >>> csv_cell("bicubic"), csv_cell("=1+1"), csv_cell("-1.5"), csv_cell("-x")
    ('bicubic', "'=1+1", '-1.5', "'-x")
    """
    if not (text.startswith(FORMULA) or text.lstrip().startswith(FORMULA)):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def finite(value: Any) -> float | None:
    """The value if it is a finite number, else None.

    >>> finite(3), finite(float("nan")), finite("3"), finite(True)
    (3, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


Plain = TypeVar("Plain")


def from_plain(kind: type[Plain], data: Any) -> Plain:
    """A dataclass from plain values of JSON, all of them checked against its annotations.

    Raises:
        DataError: With the place of the first value that is missing or of another kind.
    """
    import msgspec

    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise DataError(str(error)) from error
