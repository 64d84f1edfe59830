"""What the processes of a run tell those who began them: one JSON object per line."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Literal

from vemrecon.errors import OutputError, VemreconError

STOPPED = 2
"""Exit code of a process that leaves no result, since the disk or another process is at fault."""
Part = Literal["observe", "train", "reconstruct", "score"]
"""Parts of a run that a time limit can be set for."""
PARTS: Final[tuple[Part, ...]] = ("observe", "train", "reconstruct", "score")
Kind = Literal["run", "memory", "output"]
"""What an error is the fault of: the run itself, too little memory, or a place that cannot be written."""


def reason_of(error: Exception) -> str:
    """One line for a table."""
    text = str(error) if isinstance(error, VemreconError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def kind_of(error: Exception) -> Kind:
    """What an error is the fault of."""
    if isinstance(error, OutputError):
        return "output"
    return "memory" if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" else "run"


def error_of(message: Mapping[str, Any]) -> Exception:
    """An error that another process has told."""
    kinds: dict[Kind, type[Exception]] = {"output": OutputError, "memory": TooLargeError, "run": VemreconError}
    return kinds[message["kind"]](message["error"])


class TooLargeError(VemreconError, MemoryError):
    """Something does not fit into memory."""


class SignalError(VemreconError):
    """A process that belongs to a run was ended by a signal, which is nothing that the run has done.

    Attributes:
        signal: Its number.
    """

    def __init__(self, what: str, signal: int) -> None:
        super().__init__(f"{what}: {end_of(-signal)}; start again to go on")
        self.signal = signal


class Teller:
    """Writes to the standard output that a process began with; everything else that is printed goes elsewhere.

    Somebody who does not listen any more is no reason to stop.
    """

    def __init__(self) -> None:
        self.stream = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")

    def __call__(self, phase: str, share: float, note: str = "") -> None:
        """See `Progress`."""
        self._say(phase=phase, share=share, note=note)

    def part(self, name: Part) -> None:
        """A part of the run begins."""
        self._say(part=name)

    def error(self, error: Exception) -> None:
        """Why the process ends."""
        self._say(error=reason_of(error), kind=kind_of(error))

    def _say(self, **facts: Any) -> None:
        with suppress(BrokenPipeError):
            self.stream.write(json.dumps(facts) + "\n")


class Lines:
    """Messages from pieces of a stream, however it was cut."""

    def __init__(self) -> None:
        self.rest = b""

    def of(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Messages that a piece completes."""
        *lines, self.rest = (self.rest + piece).split(b"\n")
        for line in lines:
            with suppress(ValueError):  # something else printed before the process had opened its log
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message


def end_of(code: int) -> str:
    """How a process ended that left no reason, from its exit code.

    >>> end_of(-9), end_of(3)
    ('ended by SIGKILL', 'ended with exit code 3')
    """
    names = {one.value: one.name for one in signal.Signals}
    return f"ended by {names.get(-code, f'signal {-code}')}" if code < 0 else f"ended with exit code {code}"
