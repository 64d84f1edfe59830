"""`GreyRange`: which grey values a volume was read by, and who said so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vemrecon.volume.volume import Span, Volume

StatedBy = Literal["user", "card", "file", "type"]
WORDS = {"user": "--intensity-range", "card": "card", "file": "file", "type": "type of the voxels"}


@dataclass(frozen=True)
class GreyRange:
    """Grey values that mean black and white; every score depends on them."""

    black: float
    white: float
    stated_by: StatedBy

    @classmethod
    def of(cls, volume: Volume, stated_by: StatedBy | None = None) -> GreyRange:
        """That of an open volume; `stated_by` is who said it, where that was not the file or its type."""
        return cls(*volume.span, stated_by or ("file" if volume.stated else "type"))

    @property
    def span(self) -> Span:
        """The two grey values."""
        return self.black, self.white

    def __str__(self) -> str:
        return f"{self.black:g} to {self.white:g} ({WORDS[self.stated_by]})"
