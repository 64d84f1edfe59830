"""`PublishedLine`: what one table of one paper says about one method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vemrecon.report.published import PublishedScore


@dataclass(frozen=True)
class PublishedLine:
    """The published scores of one method in one table of a paper, and why ours are others."""

    paper: str
    table: str
    method: str
    part: str
    """Part of the volume that alone was scored, or an empty text."""
    supervision: str
    degradation: str
    scores: Mapping[str, PublishedScore]
    """By column key."""
    reasons: tuple[str, ...]
    """The most important one first; none if the line is comparable."""

    @property
    def where(self) -> str:
        """Table of the paper, and the part of the volume."""
        return ", ".join(text for text in (self.table, self.part) if text)

    @property
    def measures(self) -> set[str]:
        """Our names of what was measured."""
        return {score.measure for score in self.scores.values()}

    @property
    def notes(self) -> str:
        """Everything noted about the numbers of this line."""
        return "; ".join(dict.fromkeys(score.note for score in self.scores.values() if score.note))

    def text(self, key: str) -> str:
        """A number as printed, or an empty text."""
        return self.scores[key].text if key in self.scores else ""

    def spread(self, key: str) -> str:
        """The spread that the paper prints beside it, over whatever it averages."""
        std = self.scores[key].std if key in self.scores else ""
        return f"± {std}" if std else ""
