"""Arguments of built-in methods, as a preset has them."""

from __future__ import annotations

from typing import Any

from vemrecon.methods.condition import Situation
from vemrecon.methods.registry import choose_preset, method_entry


def preset_arguments(name: str, preset: str, scale: float = 8.0) -> dict[str, Any]:
    """What a method is made with at a scale."""
    return choose_preset(name, preset, method_entry(name).resolved()[2])[1].arguments(Situation(scale))
