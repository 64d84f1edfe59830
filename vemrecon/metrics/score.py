"""`Score`: one number of one metric, with everything that is needed to read it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Limit(StrEnum):
    """A value that is only a bound of the true one."""

    AT_MOST = "at_most"
    """The true value is this or less: a correlation never fell below its threshold."""
    AT_LEAST = "at_least"
    """The true value is this or more: a correlation never rose above its threshold."""
    UNSURE = "unsure"
    """Made of bounds of both kinds."""

    @classmethod
    def of(cls, limits: set[Limit]) -> Limit | None:
        """What bounds a mean of values with these bounds.

        >>> Limit.of({Limit.AT_MOST}), Limit.of({Limit.AT_MOST, Limit.AT_LEAST}), Limit.of(set())
        (<Limit.AT_MOST: 'at_most'>, <Limit.UNSURE: 'unsure'>, None)
        """
        return next(iter(limits)) if len(limits) == 1 else cls.UNSURE if limits else None

    @property
    def turned(self) -> Limit:
        """The bound of one over the value."""
        return {Limit.AT_MOST: Limit.AT_LEAST, Limit.AT_LEAST: Limit.AT_MOST}.get(self, self)


SIGNS = {None: "", Limit.AT_MOST: "<= ", Limit.AT_LEAST: ">= ", Limit.UNSURE: "~ "}
"""What stands before a value."""


class Reference(StrEnum):
    """What a reconstruction is compared with."""

    NONE = ""
    """Nothing: the reconstruction is looked at alone."""
    TRUTH = "truth"
    """The true volume, or what is found in it."""
    LABELS = "labels"
    """What people have labelled in it."""
    RECORDED = "recorded"
    """Sections that were recorded, and kept back."""


class Need(StrEnum):
    """What a metric cannot do without."""

    TRUTH = "truth"
    """The true volume."""
    LABELS = "labels"
    """Labels of the dataset, and somebody who finds in a volume what they name."""
    SPREAD = "spread"
    """How far rotations or samples of the method disagree, voxel by voxel."""
    METHOD = "method"
    """The method itself, to reconstruct other sections."""
    WEIGHTS = "weights"
    """A package or published weights on this machine."""


@dataclass(frozen=True)
class Score:
    """One value of one metric.

    A metric that could not be computed has `value` None and says why in `note`.
    """

    metric: str
    """psnr, ssim, ms_ssim, fsc, ..."""
    variant: str
    """Named variant, e.g. gaussian11 or uniform7 for ssim, hann for fsc; empty where there is only one."""
    plane: str
    """xy, xz, yz, mean (of the three), volume; for fsc: all, z, y, x, lateral, ratio (axial over lateral)."""
    range: str
    """Scored range along the degraded axis: all, or span (no extrapolated section)."""
    block: str
    """Evaluation block, or 'all' for the whole scored region."""
    value: float | None
    unit: str = ""
    """dB, nm or empty."""
    std: float | None = None
    """Standard deviation over the sections of the plane (ddof 0)."""
    count: int | None = None
    """Number of sections that entered the mean."""
    note: str = ""
    """For people: why the value is missing, or what it leaves out, e.g. '30 kept sections left out'."""
    limit: Limit | None = None
    """Whether the value is only a bound."""
    target: str = ""
    """What is looked for in the volumes, such as membranes; empty where grey levels are compared."""
    reference: Reference = Reference.TRUTH
    missing: Need | None = None
    """Of a score without a value: what was not at hand, where that is the reason."""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)

    @property
    def kind(self) -> Kind:
        """What was measured, whatever the place."""
        return self.metric, self.variant, self.plane, self.target, self.reference

    @property
    def whole(self) -> bool:
        """Whether it is of the whole scored region, not of one evaluation block."""
        return self.block == "all"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


Kind = tuple[str, str, str, str, Reference]
"""Metric, variant, plane, target and reference of a score."""
