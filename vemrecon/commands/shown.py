"""`Shown`: bars that are there while a context lasts."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self


class Shown:
    """Base of what shows the bars of rich."""

    bars: Any

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()
