"""`JsonLog`: what a command does, as lines of JSON for scripts and clusters."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from vemrecon.commands.pace import Pace
from vemrecon.errors import ConfigError
from vemrecon.files import finite, output_error

SCHEMA = 1
STANDARD_ERROR = "-"
EVERY = 5.0  # seconds between lines of one phase


class JsonLog:
    """A log that every attempt appends to, a line for each event, which is in the file when it has happened.

    The fields of every event stand in docs/files.md.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._said = 0.0

    @classmethod
    def to(cls, name: str | None) -> JsonLog:
        """A log at the end of a file, on standard error (`-`), or nowhere.

        Raises:
            ConfigError: If the file holds something else.
            OutputError: If it cannot be written.
        """
        if name is None:
            return cls(None)
        if name == STANDARD_ERROR:
            return cls(sys.stderr)
        path = Path(name)
        try:
            last = _require_log(path)
            stream = path.open("a", encoding="utf-8", buffering=1)
            if last not in ("", "\n"):
                stream.write("\n")  # an attempt was killed in the middle of a line
        except OSError as error:
            raise output_error(path, error) from error
        return cls(stream)

    @property
    def on_standard_error(self) -> bool:
        """Whether it would mix with a bar."""
        return self._stream is sys.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            words = " ".join(str(error).split())
            self.event("error", kind=kind.__name__, message=words or "interrupted; the same command goes on")
        if self._stream is not None and not self.on_standard_error:
            self._stream.close()

    def event(self, name: str, **facts: Any) -> None:
        """Append a line; a log that cannot be written any more ends, the work goes on."""
        if self._stream is None:
            return
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **facts}
        try:
            self._stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            self._stream.flush()
        except OSError as error:
            self._stream = None
            with suppress(OSError):
                print(f"--json-log: cannot be written any more ({error.strerror or error})", file=sys.stderr)

    def progress(self, pace: Pace, begins: bool, note: str = "") -> None:
        """Append what a phase has come to: when it begins and ends, and now and then."""
        now, share = time.monotonic(), round(pace.share, 6)
        if begins:
            self._said = now
            self.event("phase", phase=pace.phase, share=share)
            return
        if now - self._said < EVERY and share < 1:
            return
        self._said = now
        self.event(
            "progress",
            phase=pace.phase,
            share=share,
            voxels_done=pace.voxels_done,
            voxels_total=pace.voxels_total,
            voxels_per_second=_rounded(pace.voxels_per_second),
            seconds_left=_rounded(pace.seconds_left),
            note=note,
        )


def _rounded(value: float | None) -> float | None:
    return finite(None if value is None else round(value, 1))


def _require_log(path: Path) -> str:
    """The last letter of a file that holds nothing but lines of JSON; nothing of one that is not there.

    Raises:
        ConfigError: If it holds something else, such as a volume.
    """
    if not path.exists() or not path.stat().st_size:
        return ""
    with path.open("rb") as file:
        first = file.read(1)
        file.seek(-1, 2)
        last = file.read(1)
    if first != b"{":
        raise ConfigError(f"--json-log {path}: holds something else than a log; choose another name")
    return last.decode("ascii", "replace")
