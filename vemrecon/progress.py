"""What long work tells whoever asked for it: shown as bars or lines, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Share = Callable[[float], None]
"""Told the finished share of one thing."""
Say = Callable[[str], None]
"""Told a line for the user."""


class Progress(Protocol):
    """Told what is being done."""

    def __call__(self, phase: str, share: float, note: str = "") -> None:
        """A phase, the finished share of it, and how it goes, such as the loss of a training."""


def silent(phase: str, share: float, note: str = "") -> None:
    """Nobody is told."""
