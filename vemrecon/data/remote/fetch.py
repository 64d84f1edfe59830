"""Files of datasets, fetched or verified."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vemrecon.data.card import DatasetCard, RemoteFile
from vemrecon.data.remote.connection import PATIENT, Patience
from vemrecon.data.remote.download import Received, download
from vemrecon.data.remote.missing import MissingFilesError, missing_line, size_text
from vemrecon.data.remote.recognise import as_here, content_sha256, known_sha256, recognise
from vemrecon.errors import DataError, unknown
from vemrecon.files import make_folder, output_error
from vemrecon.progress import Say

Check = Literal["published", "voxels", "recorded", "new", "none"]
"""What a sha256 was compared with: that of the card, of bytes or of voxels, the one recorded when the file was first
seen, or nothing; then it is new and recorded now, or not."""


@dataclass(frozen=True)
class Fetched:
    """A file of a dataset that is on this machine, and what is known about it."""

    path: Path
    sha256: str
    downloaded: bool
    """False if it was there already."""
    check: Check

    def __str__(self) -> str:
        state = "downloaded" if self.downloaded else "here already"
        if self.check in ("new", "none"):
            kept = "recorded" if self.check == "new" else "and none is recorded;"
            return f"{state}; no checksum is published, {kept} sha256 {self.sha256}: {self.path}"
        what = "as when it was first seen" if self.check == "recorded" else "verified"
        of = " of voxels" if self.check == "voxels" else ""
        return f"{state}, {what}: {self.path}  sha256{of} {self.sha256}"


def files_of(card: DatasetCard, keys: Sequence[str] = (), labels: bool = True) -> list[RemoteFile]:
    """The files of a dataset, each once; generated volumes are none.

    Args:
        card: The dataset.
        keys: Names of some of its volumes; all if empty.
        labels: Whether label files are wanted too.

    Raises:
        ConfigError: If a name is unknown.
    """
    found: dict[str, RemoteFile] = {}
    for key in keys or card.files:
        if key not in card.files:
            raise unknown(f"file of {card.name}", key, card.files)
        volume = card.files[key]
        if volume.generator is not None:
            continue
        found.setdefault(volume.path, volume)
        for label in volume.labels.values() if labels else ():
            found.setdefault(label.path, label)
    return list(found.values())


def fetch_files(
    wanted: Iterable[tuple[DatasetCard, RemoteFile]],
    root: Path,
    *,
    begin: Callable[[RemoteFile], Received] | None = None,
    done: Callable[[RemoteFile, Fetched], None] = lambda file, fetched: None,
    say: Say = lambda text: None,
    patience: Patience = PATIENT,
) -> list[Fetched]:
    """Fetch and verify several files, going on after those that cannot be had.

    Args:
        wanted: Files, with the datasets that they belong to.
        root: The data root.
        begin: Called before a file; gives what is told about its bytes.
        done: Called after a file.
        say: Told in one line what goes wrong on the way.
        patience: Timeouts and retries.

    Raises:
        MissingFilesError: At the end, with a line for each file that is missing or damaged.
        OutputError: If the disk is full.
    """
    fetched: list[Fetched] = []
    missing: list[str] = []
    unreachable: set[str] = set()
    for card, file in wanted:
        progress = begin(file) if begin else lambda done, total: None
        try:
            here = fetch_file(card, file, root, progress=progress, say=say, patience=patience, unreachable=unreachable)
        except MissingFilesError as error:
            missing += error.missing
        except DataError as error:
            missing.append(str(error))
        else:
            fetched.append(here)
            done(file, here)
    if missing:
        raise MissingFilesError(missing)
    return fetched


def fetch_file(
    card: DatasetCard,
    file: RemoteFile,
    root: Path,
    *,
    progress: Received = lambda done, total: None,
    say: Say = lambda text: None,
    patience: Patience = PATIENT,
    unreachable: set[str] | None = None,
) -> Fetched:
    """Fetch one file below the data root, or check that it is the right one. Of two processes one downloads, one waits.

    Raises:
        MissingFilesError: If it is not there and cannot be downloaded.
        DataError: If it is there, but is not the right file.
        OutputError: If it cannot be written, or the disk is full; what is downloaded is kept.
    """
    file = as_here(file, root)
    path = root / file.path
    if not path.exists():
        if obstacle := _obstacle(file, path):
            raise MissingFilesError([missing_line(card, file, path, obstacle)])
        with _alone(path, say):
            if not path.exists():  # another process may have fetched it meanwhile
                found = _get(card, file, path, progress, say, patience, unreachable)
                return _recognised(card, file, path, found, downloaded=True)
    found = content_sha256(file, path)
    return _recognised(card, file, path, found, downloaded=False)


def _recognised(card: DatasetCard, file: RemoteFile, path: Path, found: str, *, downloaded: bool) -> Fetched:
    check: Check = "published" if file.sha256 else "voxels" if file.voxels_sha256 else "new"
    if check == "new" and known_sha256(file, path):
        check = "recorded"
    sha256 = recognise(card, file, path, found)
    if check == "new" and not known_sha256(file, path):  # a read-only data root
        check = "none"
    return Fetched(path, sha256, downloaded, check)


def spoken(say: Say, name: str, seconds: float = 20) -> Received:
    """Progress as a line now and then, for commands without a bar."""
    last = -math.inf

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(f"fetching {name}: {size_text(done)}" + (f" of {size_text(total)}" if total else ""))

    return progress


def _obstacle(file: RemoteFile, path: Path) -> str:
    """Why a file cannot be downloaded at all; empty if it can be tried."""
    if not file.addresses:
        return "is not here and has no address"
    if os.environ.get("VEMRECON_OFFLINE", "0") not in ("", "0"):
        return "is not here and VEMRECON_OFFLINE is set"
    if not file.verify_tls and not known_sha256(file, path):
        return "is not here, and is not downloaded: its server is not verified and its sha256 is not known"
    return ""


def _get(
    card: DatasetCard,
    file: RemoteFile,
    path: Path,
    progress: Received,
    say: Say,
    patience: Patience,
    unreachable: set[str] | None,
) -> str:
    known = known_sha256(file, path)
    try:
        if file.box is not None:
            from vemrecon.data.remote.boxes import fetch_box

            voxels = file.box.region.voxels  # about a byte each
            fetch_box(card, file, path, lambda share: progress(round(share * voxels), voxels))
            return content_sha256(file, path)
        return download(
            file, path, sha256=known, progress=progress, say=say, patience=patience, unreachable=unreachable
        )
    except DataError as error:
        why = f"is not here and could not be downloaded ({error})"
        raise MissingFilesError([missing_line(card, file, path, why)]) from error


@contextmanager
def _alone(path: Path, say: Say) -> Iterator[None]:
    """Hold the only right to fetch a file; wait for a process that has it."""
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{path.name}: another process is fetching it; waiting for that")
            lock.acquire()
    except OSError as error:
        raise output_error(path, error) from error
    try:
        yield
    finally:
        lock.release()
