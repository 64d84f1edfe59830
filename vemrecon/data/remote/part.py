"""`Part`: the beginning of a file that is being downloaded, and what it is the beginning of."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from vemrecon.errors import DataError, OutputError
from vemrecon.files import output_error, read_json, write_json


@dataclass(frozen=True)
class Origin:
    """What a server said about the file that it began to send."""

    url: str
    etag: str = ""
    last_modified: str = ""
    length: int | None = None

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], length: int | None) -> Origin:
        """The origin that the headers of a response describe."""
        return cls(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), length)

    @property
    def validator(self) -> str:
        """Value for If-Range: a strong ETag (weak ones may not be used there, RFC 9110 13.1.5), or the date."""
        return self.etag if self.etag.startswith('"') else self.last_modified

    def contradicts(self, other: Origin) -> bool:
        """Whether the two cannot be one file; validators count more than lengths, which some servers get wrong."""
        if self.validator and self.validator == other.validator:
            return False
        pairs = [(self.etag, other.etag), (self.last_modified, other.last_modified), (self.length, other.length)]
        return any(a and b and a != b for a, b in pairs)


class Part:
    """The file `NAME.part` beside a target, with a note `NAME.part.json` of its origin.

    The sha256 is taken while bytes arrive, so that the end of a download is checked without reading it again.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self.origin: Origin | None = None
        self.size = 0
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None
        if self.path.exists() and self.note.exists():
            self._read()

    @property
    def sha256(self) -> str:
        """sha256 of the bytes so far."""
        return self._digest.hexdigest()

    def start(self, origin: Origin) -> None:
        """Forget all bytes; what follows comes from this origin.

        Raises:
            OutputError: If that will not fit.
        """
        self.remove()  # before the new note: it must never stand beside old bytes
        self.origin = origin
        self.require_space(origin.length)
        write_json(self.note, {"schema": 1, **asdict(origin)})

    def append(self, data: bytes) -> None:
        """Write bytes at the end.

        Raises:
            OutputError: If the disk is full or the file cannot be written; what is there is kept.
        """
        try:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            rest = memoryview(data)
            while rest:
                written = self._file.write(rest)  # fewer than given where the disk becomes full
                self._digest.update(rest[:written])
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise output_error(self.target, error) from error

    def require_space(self, total: int | None) -> None:
        """Refuse now what would fill the disk in an hour.

        Raises:
            OutputError: If the rest of a file of this size does not fit.
        """
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise output_error(self.target, error) from error
        if total is not None and total - self.size > free:
            raise OutputError(
                f"{self.target}: the disk is full: {total - self.size:,} bytes are still to come, {free:,} are free; "
                f"free some space and start again, finished work is kept"
            )

    def close(self) -> None:
        """Close the file between two attempts."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:  # network file systems say only now that there was no space
            raise output_error(self.target, error) from error
        finally:
            self._file = None

    def finish(self) -> None:
        """Give the file its name."""
        self.close()
        try:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            self.path.replace(self.target)
            self.note.unlink(missing_ok=True)
        except OSError as error:
            raise output_error(self.target, error) from error

    def remove(self) -> None:
        """Remove bytes and note."""
        self.close()
        try:
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)
        except OSError as error:
            raise output_error(self.target, error) from error
        self.origin, self.size, self._digest = None, 0, hashlib.sha256()

    def _read(self) -> None:
        try:
            facts = read_json(self.note)
            del facts["schema"]
            self.origin = Origin(**facts)
            with self.path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    self._digest.update(chunk)
                    self.size += len(chunk)
        except (DataError, TypeError, KeyError):  # a note that nobody understands is of no use
            self.remove()
        except OSError as error:
            raise output_error(self.target, error) from error
