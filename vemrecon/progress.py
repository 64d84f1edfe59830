"""What long work tells whoever asked for it: shown as bars or lines, or not at all."""

from __future__ import annotations

from collections.abc import Callable

Share = Callable[[float], None]
"""Told the finished share of one thing."""
Progress = Callable[[str, float], None]
"""Told what is being done, and the finished share of it."""
Say = Callable[[str], None]
"""Told a line for the user."""
