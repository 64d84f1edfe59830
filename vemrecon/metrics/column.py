"""`Column`: how one kind of score is shown, in every table and on every page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from vemrecon.metrics.score import Kind, Reference

PLANE_ORDER = ("volume", "xy", "xz", "yz", "mean", "all", "z", "y", "x", "lateral", "ratio")
"""Planes and directions of scores in the order in which they are listed."""


class Better(StrEnum):
    """Which of two values is the better one."""

    HIGH = "high"
    LOW = "low"
    ONE = "one"
    """The one closest to 1, as a ratio."""
    ZERO = "zero"
    """The one closest to 0."""
    NEITHER = ""
    """There is nothing to win."""

    @property
    def arrow(self) -> str:
        """Sign for the heading of a column."""
        return {"high": "↑", "low": "↓", "one": "→ 1", "zero": "→ 0", "": ""}[self.value]

    def badness(self, value: float) -> float:
        """Smaller is better, whatever is measured."""
        if self is Better.ONE:
            return abs(math.log(value)) if value > 0 else math.inf
        if self is Better.ZERO:
            return abs(value)
        return -value if self is Better.HIGH else value


def tally_text(value: float) -> str:
    """A small number of things, or a mean of such numbers.

    >>> tally_text(3), tally_text(-4 / 3)
    ('3', '-1.33')
    """
    return f"{round(value, 2):zg}"


FORMATS: Mapping[str, Callable[[float], str]] = {"tally": tally_text}
"""Styles of numbers besides a number of decimals."""


@dataclass(frozen=True)
class Column:
    """One column of a table of scores.

    `default` columns are those of the main table wherever their metric was asked for; the others are folded away.
    `rank` says which ones a narrow terminal drops last, from 0 on.
    """

    metric: str
    plane: str
    group: str
    """Heading over columns that belong together: the name of the metric as people write it."""
    label: str
    better: Better = Better.HIGH
    style: str = "2"
    """Number of decimals, or `tally`."""
    unit: str = ""
    variant: str = ""
    primary: bool = True
    """Whether its variant is the one meant by the name of the metric alone."""
    default: bool = True
    rank: int = 9
    help: str = ""
    per_target: bool = False
    """Whether there is one for each thing that is looked for, such as membranes, and each reference."""
    target: str = ""
    reference: Reference = Reference.TRUTH

    @property
    def key(self) -> str:
        """Name for programs, such as psnr/xy, ssim/uniform7/xy or iou/membranes/labels."""
        parts = (self.metric, "" if self.primary else self.variant)
        of = (self.target or "nothing", self.reference) if self.per_target else (self.plane,)
        return "/".join(part for part in (*parts, *of) if part)

    @property
    def kind(self) -> Kind:
        """Of the scores that it shows."""
        return self.metric, self.variant, self.plane, self.target, self.reference

    @property
    def heading(self) -> str:
        """Label with its group and unit, for tables without a row of groups."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.group} {self.label}{unit}".strip()

    def text(self, value: float) -> str:
        """The value as it is printed, without its unit."""
        return FORMATS[self.style](value) if self.style in FORMATS else f"{value:z.{self.style}f}"

    def shows(self, kind: Kind) -> bool:
        """Whether it shows scores of a kind; one column of a metric that looks for things stands for all of these."""
        metric, variant, plane, *of = kind
        return (self.metric, self.variant, self.plane) == (metric, variant, plane) and (
            self.per_target or of == [self.target, self.reference]
        )

    def of(self, target: str, reference: Reference) -> Column:
        """The column of one thing that is looked for."""
        return replace(self, target=target, reference=reference)


def plane_order(plane: str) -> tuple[int, str]:
    """Sort key that keeps planes in the usual order."""
    return (PLANE_ORDER.index(plane) if plane in PLANE_ORDER else len(PLANE_ORDER), plane)
