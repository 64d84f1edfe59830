"""Who may write a folder: one process at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vemrecon.errors import ConfigError
from vemrecon.files import output_error


@contextmanager
def exclusive(path: Path, what: str, patience: float = 0) -> Iterator[None]:
    """Hold a lock file; the operating system frees it when the process ends, however it ends.

    Raises:
        ConfigError: If somebody else holds it for longer than `patience` seconds.
    """
    from filelock import FileLock, Timeout

    owner = path.with_suffix(".owner")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=patience)
    except Timeout as error:
        holder = owner.read_text(encoding="utf-8").strip() if owner.exists() else "another process"
        raise ConfigError(f"{what} is in use by {holder}; wait until it has finished, or use another folder") from error
    except OSError as error:
        raise output_error(path.parent, error) from error
    try:
        with suppress(OSError):  # only for the message above; a full disk must not hide the real one
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
