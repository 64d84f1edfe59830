"""`WarmProcess`: begins processes of runs by way of a process that has imported what they need; see `warm`."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vemrecon.bench.executors.messages import Lines
from vemrecon.errors import VemreconError


class GoneError(VemreconError):
    """The warm process has ended."""


class Forked:
    """A process that does a run.

    Attributes:
        number: Of the process, and of its group.
        messages: Descriptor to read from what it tells.
        code: Exit code, or minus the signal that ended it; None while it is at work.
    """

    def __init__(self, number: int, messages: int, alive: int) -> None:
        self.number, self.messages, self._alive = number, messages, alive
        self.code: int | None = None
        self._ended = threading.Event()

    def kill(self) -> None:
        """End it and all that belong to it."""
        if self.code is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.number, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        self._ended.wait()
        assert self.code is not None
        return self.code

    def end(self, code: int) -> None:
        """Take note of its end."""
        self.code = code
        self._ended.set()

    def close(self) -> None:
        """Close our ends of its pipes; a process that is still at work ends then."""
        for pipe in (self.messages, self._alive):
            os.close(pipe)


class WarmProcess:
    """One warm process with all that it has forked. It ends, and they do, when this object or this process does."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        # a look at the number of GPUs must not open them, or processes forked later could not
        environ = os.environ | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
        # methods given by class path may live in the folder that the user works in
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path.cwd())]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vemrecon.bench.executors.warm", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            env=environ,
            start_new_session=True,  # Ctrl-C is for whoever asked for runs
        )
        theirs.close()
        self._orders, self._changes = threading.Lock(), threading.Lock()
        self._begun: queue.Queue[int | None] = queue.Queue()
        self._forked: dict[int, Forked] = {}
        self._codes: dict[int, int] = {}
        self.gone = self._asked = False
        threading.Thread(target=self._listen, daemon=True).start()

    def begin(self, run: Path, threads: int) -> Forked:
        """Begin the process of a run.

        Args:
            run: Its folder.
            threads: It computes with, unless OMP_NUM_THREADS says so.

        Raises:
            GoneError: If there is no warm process any more, with what it has said.
        """
        theirs_alive, alive = os.pipe()
        messages, theirs_messages = os.pipe()
        try:
            with self._orders:  # one order and its answer at a time
                number = self._ask({"run": str(run), "threads": threads}, [theirs_alive, theirs_messages])
        except BaseException:
            os.close(alive)
            os.close(messages)
            raise
        finally:
            os.close(theirs_alive)
            os.close(theirs_messages)
        forked = Forked(number, messages, alive)
        with self._changes:
            if number in self._codes or self.gone:
                forked.end(self._codes.pop(number, -signal.SIGKILL))
            else:
                self._forked[number] = forked
        return forked

    def _ask(self, order: Mapping[str, Any], pipes: list[int]) -> int:
        self._asked = True
        if not self.gone:
            with suppress(OSError):
                socket.send_fds(self._channel, [json.dumps(order).encode()], pipes)
            if (number := self._begun.get()) is not None:
                return number
        self._begun.put(None)  # for whoever asks next
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        raise GoneError(f"the process that begins runs has ended{f': {said[-1]}' if said else ''}")

    def close(self) -> None:
        """End it, and all that it has forked."""
        if not self._asked:  # it may still be at its imports, and has forked nothing
            self._process.kill()
        with suppress(OSError):  # it has ended by itself
            self._channel.shutdown(socket.SHUT_RDWR)
        self._process.wait()
        self._errors.close()

    def _listen(self) -> None:
        lines = Lines()
        with suppress(OSError):
            while piece := self._channel.recv(1 << 16):
                for message in lines.of(piece):
                    if "begun" in message:
                        self._begun.put(message["begun"])
                    else:
                        self._end(message["ended"], message["code"])
        with self._changes:
            self.gone = True
            for forked in self._forked.values():
                forked.end(-signal.SIGKILL)
            self._forked.clear()
        self._begun.put(None)

    def _end(self, number: int, code: int) -> None:
        with self._changes:
            if forked := self._forked.pop(number, None):
                forked.end(code)
            else:  # it ended before the answer to its order was read
                self._codes[number] = code
