"""Where runs are done: on this machine, or by workers of dask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Protocol, Self

from vemrecon.bench.executors.attend import Order, Outcome, Told, attend
from vemrecon.bench.executors.warm_process import GoneError, WarmProcess
from vemrecon.environment import cores

Devices = tuple[str, ...]
Done = Callable[[Callable[[], Outcome]], None]
"""Gets what gives the outcome of a run that has ended, or raises why there is none."""


class Executor(Protocol):
    """Does runs, several at once, each on devices of its own.

    Attributes:
        tells: Whether messages of runs come here; else their folders alone say how far they are.
    """

    tells: bool

    def room(self) -> int:
        """How many runs can be at work at once, now."""

    def submit(self, order: Order, told: Told, done: Done) -> None:
        """Do a run. Messages and the end are told by any thread."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *error: Any) -> None:
        """End all runs that are at work; when this returns, none of their processes is left."""


class Here:
    """This machine. One warm process forks all runs.

    Args:
        groups: The devices of each run that is at work at once.
        warm: One that was begun before, and is closed by who has begun it.
    """

    tells = True

    def __init__(self, groups: Sequence[Devices], warm: WarmProcess | None = None) -> None:
        self.free = list(groups)
        self.threads = ThreadPoolExecutor(len(groups), thread_name_prefix="run")
        self.begins, self.ending = threading.Lock(), threading.Event()
        self.count = len(groups)
        self._warm, self._own = warm, ExitStack()

    def room(self) -> int:
        """See `Executor`."""
        return self.count

    def submit(self, order: Order, told: Told, done: Done) -> None:
        """See `Executor`."""
        self.threads.submit(self._do, order, told).add_done_callback(lambda future: done(future.result))

    def _do(self, order: Order, told: Told) -> Outcome:
        devices = self.free.pop(0)
        try:
            return attended(
                self.warm, order.on(devices, threads_per_run(self.count)), told, lambda: not self.ending.is_set()
            )
        finally:
            self.free.append(devices)

    def warm(self) -> WarmProcess:
        """The warm process; another one if that has been killed."""
        with self.begins:
            if self._warm is None or self._warm.gone:
                self._warm = self._own.enter_context(closing(WarmProcess()))
            return self._warm

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self.threads.shutdown(wait=kind is None, cancel_futures=True)
        self._own.close()
        self.threads.shutdown()


def attended(warm: Callable[[], WarmProcess], order: Order, told: Told, wanted: Callable[[], bool]) -> Outcome:
    """`attend`, by another warm process if the first one has been killed meanwhile.

    Raises:
        GoneError: If that, too, ends at once.
    """
    try:
        return attend(warm(), order, told, wanted)
    except GoneError:
        return attend(warm(), order, told, wanted)


def threads_per_run(count: int) -> int:
    """Cores of this machine divided among the runs at once."""
    return max(1, cores() // count)
