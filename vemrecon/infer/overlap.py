"""Reading ahead and writing behind, so that neither waits for the other; bounded, and errors reach whoever waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")
AHEAD = 2


def read_ahead(
    read: Callable[[Item], Value], items: Iterable[Item], ahead: int = AHEAD
) -> Iterator[tuple[Item, Value]]:
    """Items with what was read for them; a thread of its own reads the next ones meanwhile.

    Args:
        read: Called in order.
        items: Any number of them.
        ahead: How many are read before they are asked for.
    """
    waiting: deque[tuple[Item, Future[Value]]] = deque()
    pool = ThreadPoolExecutor(1, "read")
    try:
        for item in items:
            waiting.append((item, pool.submit(read, item)))
            if len(waiting) > ahead:
                first, found = waiting.popleft()
                yield first, found.result()
        while waiting:
            first, found = waiting.popleft()
            yield first, found.result()
    finally:
        pool.shutdown(cancel_futures=True)


class WriteBehind:
    """A thread that writes one thing while the next one is made; whoever hands over a third waits."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "write")
        self.last: Future[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, write: Callable[..., Any], *arguments: Any) -> None:
        """Write, when what was handed over before is written; raises what went wrong with that."""
        self.wait()
        self.last = self.pool.submit(write, *arguments)

    def wait(self) -> None:
        """Until all is written."""
        if self.last is not None:
            self.last.result()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self.pool.shutdown(cancel_futures=True)
