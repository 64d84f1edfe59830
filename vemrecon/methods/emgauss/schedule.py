"""`Schedule`: the three stages of a fit, and everything that changes with its steps.

Warm-up trains the Gaussians alone, the joint stage Gaussians and deformation, the bootstrapped stage goes on with
sections that a teacher has labelled between the observed ones. Steps are counted from 0.

Source: the paper (steps, weight); Deformable 3D Gaussians (smoothing of times); the rest is chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vemrecon.errors import ConfigError, unknown

RAMPS = ("linear", "exponential")
RAMP = 7 / 15  # of the bootstrapped stage: the weight grows from step 3000 to 10000 of 18000
REACHES = (0.0, 1 / 4, 1 / 2)  # how far from the middle of a gap the teacher labels, in gaps
SMOOTHED = 0.9  # of all steps
SMOOTHING = 0.1  # of the time from one section to the next
PATIENCE, GAIN = 0.1, 0.5  # a teacher that waits does so until a tenth of all steps has gained less than half a dB


@dataclass(frozen=True)
class Schedule:
    """When a step does what.

    Attributes:
        warm_up: Steps of the first stage.
        joint: Of the second.
        bootstrapped: Of the third.
        ramp: How the weight of labelled sections grows: `linear` or `exponential`.
        weight: From and to which value.
        share: From and to which share of steps a labelled section is taken.
        widening: Shares of the third stage after which the teacher labels half of each gap, and all of it.
    """

    warm_up: int
    joint: int
    bootstrapped: int
    ramp: str = "linear"
    weight: tuple[float, float] = (0.1, 1.0)
    share: tuple[float, float] = (0.2, 0.5)
    widening: tuple[float, float] = (0.2, 0.4)

    def __post_init__(self) -> None:
        if self.ramp not in RAMPS:
            raise unknown("EMGauss ramp", self.ramp, RAMPS)
        if min(self.warm_up, self.joint, self.bootstrapped) < 0 or self.total < 1:
            raise ConfigError(f"EMGauss: {self.warm_up} + {self.joint} + {self.bootstrapped} steps make no fit")
        if min(self.weight) <= 0 or not all(0 <= share <= 1 for share in (*self.share, *self.widening)):
            raise ConfigError(f"EMGauss: weight {self.weight}, share {self.share}, widening {self.widening}")

    @property
    def total(self) -> int:
        """All steps."""
        return self.warm_up + self.joint + self.bootstrapped

    @property
    def taught_from(self) -> int:
        """First step of the bootstrapped stage."""
        return self.warm_up + self.joint

    def postponed(self, step: int) -> Schedule:
        """The same number of steps, with a bootstrapped stage that begins at a later one."""
        return replace(self, joint=step - self.warm_up, bootstrapped=self.total - step)

    def elapsed(self, step: int) -> float:
        """Share of the bootstrapped stage that lies before a step, in [0, 1]."""
        return min(max((step - self.taught_from) / max(self.bootstrapped, 1), 0.0), 1.0)

    def label_weight(self, step: int) -> float:
        """Weight of the loss of a labelled section.

        >>> paper = Schedule(2000, 1000, 15000)
        >>> [round(paper.label_weight(step), 3) for step in (3000, 6500, 10000, 18000)]
        [0.1, 0.55, 1.0, 1.0]
        """
        grown, (first, last) = min(self.elapsed(step) / RAMP, 1.0), self.weight
        if self.ramp == "exponential":
            return float(first * (last / first) ** grown)
        return first + (last - first) * grown

    def label_share(self, step: int) -> float:
        """Probability that a step takes a labelled section."""
        return self.share[0] + (self.share[1] - self.share[0]) * self.elapsed(step)

    def label_reach(self, step: int) -> float:
        """How far from the middle of a gap the teacher labels, in gaps.

        >>> paper = Schedule(2000, 1000, 15000)
        >>> [paper.label_reach(step) for step in (3000, 6000, 9000)]
        [0.0, 0.25, 0.5]
        """
        return REACHES[sum(self.elapsed(step) >= share for share in self.widening)]

    def smoothing(self, step: int, sections: int) -> float:
        """Standard deviation of the noise that is added to the times of observed sections."""
        return SMOOTHING / sections * max(0.0, 1 - step / (SMOOTHED * self.total))

    def network_rate(self, step: int, first: float) -> float:
        """Learning rate of the deformation: falls to a twentieth."""
        return float(first * 0.05 ** (step / self.total))

    def position_rate(self, step: int, first: float) -> float:
        """Learning rate of positions: falls to a hundredth."""
        return float(first * 0.01 ** (step / self.total))

    def other_rate(self, step: int, first: float) -> float:
        """Learning rate of all else: stays for half of the steps, then falls to a tenth."""
        return float(first * 0.1 ** max(0.0, 2 * step / self.total - 1))
