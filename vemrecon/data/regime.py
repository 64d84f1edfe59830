"""What a method may learn from."""

from __future__ import annotations

from typing import Literal, get_args

Regime = Literal["none", "self", "isotropic", "external"]
"""In rising order of help: nothing, the anisotropic volumes, isotropic truth of the training region, other data."""
REGIMES: tuple[str, ...] = get_args(Regime)
