"""`Reading`: what a user says about a file that the file does not say, or says wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Missing = Literal["refuse", "fill", "exclude"]
Run = tuple[int, int]
"""First of consecutive sections, and the one behind the last."""


@dataclass(frozen=True)
class Reading:
    """What a user says about a file that the file does not say, or says wrongly.

    Attributes:
        channel: Which one is read, where there are several.
        time: Which time point is read, where there are several.
        axes: Letters of the axes as they are stored, such as `czyx`.
        missing: `fill` declares that what was never stored is the fill value (black where there is none); `exclude`
            reads the longest run of sections of which everything is stored.
        square_pixels: Whether the coarser of y and x is interpolated to the finer edge.
        several: Whether this is said of several files: channel, time and axes are then those of files that have such.
    """

    channel: int | None = None
    time: int | None = None
    axes: str | None = None
    missing: Missing = "refuse"
    square_pixels: bool = False
    several: bool = False

    @property
    def chosen(self) -> dict[str, int | None]:
        """Position on every axis that is not one of space."""
        return {"c": self.channel, "t": self.time}

    def said(self) -> dict[str, Any]:
        """What differs from saying nothing."""
        usual = vars(AS_IT_IS) | {"several": self.several}
        return {name: value for name, value in vars(self).items() if value != usual[name]}


AS_IT_IS = Reading()
