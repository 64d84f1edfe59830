"""What every metric promises, as questions to one of them."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cached_property

import numpy as np

from vemrecon.check.findings import Check, FailedError, Found, Named, left_out, noted, passed
from vemrecon.data.phantom import make_phantom
from vemrecon.degradations import degrade, make_degradation
from vemrecon.metrics import catalogue
from vemrecon.metrics.column import Better
from vemrecon.metrics.evidence import Evidence
from vemrecon.metrics.score import Need, Score
from vemrecon.metrics.spec import MetricSpec
from vemrecon.plugins import class_path_of, load, meant
from vemrecon.volume import SectionGrid, Volume, VoxelSize

SIMPLE = {Need.TRUTH}
"""Needs that a phantom serves."""


class Subject(Named):
    """A metric under check."""

    @cached_property
    def place(self) -> str:
        """Where it stands; empty for one that is built in."""
        one = meant("metric", self.name, catalogue.metrics().own)
        return one.place if one else class_path_of(self.name)

    @cached_property
    def spec(self) -> MetricSpec:
        """The metric."""
        if not self.place:
            return catalogue.metric(self.name)
        found = load(f"metric '{self.name}'", self.place)
        if not isinstance(found, MetricSpec):
            raise FailedError(f"{self.place} is no vemrecon.metrics.spec.MetricSpec")
        return found

    def evidence(self, noise: float) -> Evidence:
        """The truth of a phantom, and a reconstruction that is more or less wrong."""
        grey = make_phantom((48, 64, 64)).grey
        truth = Volume(grey, VoxelSize(8, 8, 8), "phantom")
        wrong = np.random.default_rng(0).standard_normal(grey.shape) * noise * 255
        made = Volume(np.clip(grey + wrong, 0, 255).astype(np.uint8), VoxelSize(8, 8, 8), "made")
        observed = degrade(truth, make_degradation("subsample", 4))
        return Evidence(
            made, {"all": made.whole}, truth=truth, grid=SectionGrid.kept_every(4), observed=observed, blocks={}
        )

    def scores(self, noise: float) -> list[Score]:
        """What it gives."""
        return list(self.spec.evaluate(self.evidence(noise)))


def loading(subject: Subject) -> Found:
    """Import."""
    spec, own = subject.spec, catalogue.metrics().own
    if subject.place and spec.name in own:
        raise FailedError(f"a metric '{spec.name}' is built in, and scores are known by their names: choose another")
    return passed(spec.name)


def columns(subject: Subject) -> Found:
    """It says how every score is shown."""
    spec = subject.spec
    if spec.stands_for:
        return left_out(f"it stands for {', '.join(spec.stands_for)}")
    if not spec.words.strip():
        raise FailedError("words are empty: say in a line what it measures")
    count = 0
    for kind in sorted(spec.kinds):
        for column in spec.columns(kind, "y" if kind == "lateral" else "z"):
            if subject.place and column.metric != spec.name:
                raise FailedError(f"the column '{column.heading}' is of metric '{column.metric}', not '{spec.name}'")
            count += 1
    if not count:
        raise FailedError("it has no columns, so that nothing of it is shown")
    return passed(f"{count} columns")


def light(subject: Subject) -> Found:
    """Its module does without torch, since listing metrics imports it."""
    if not subject.place:
        return left_out("it is built in")
    module = subject.place.rpartition(".")[0]
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise FailedError(f"{module} loads torch when it is imported: import it inside evaluate()")
    return passed("imports no torch")


def scores(subject: Subject) -> Found:
    """Its scores of something right are no worse than of something wrong, finite, and in its columns."""
    spec = subject.spec
    if reason := _beyond(spec):
        return left_out(reason)
    known = {column.kind: column for column in spec.columns("reference", "z")}
    right, wrong = subject.scores(0.0), subject.scores(0.2)
    if not right:
        raise FailedError("evaluate() gives no score")
    for score in (*right, *wrong):
        if score.kind not in known:
            raise FailedError(f"a score {score.kind} has no column, so that it would be lost")
        if score.value is not None and not math.isfinite(score.value):
            raise FailedError(f"a score is {score.value}: give None and say why in `note`")
    for good, bad in zip(right, wrong, strict=True):
        better = known[good.kind].better
        if good.value is None or bad.value is None or better in (Better.NEITHER, Better.ONE):
            continue
        if better.badness(good.value) > better.badness(bad.value) + 1e-9:
            raise FailedError(
                f"the truth itself scores {good.value:.4g} and a noisy one {bad.value:.4g}, though "
                f"'{better.value}' is said to be better"
            )
    return passed(f"{len(right)} scores")


def _beyond(spec: MetricSpec) -> str:
    """Why a phantom and a wrong reconstruction of it are not enough to ask for scores; empty if they are."""
    if spec.stands_for:
        return f"it stands for {', '.join(spec.stands_for)}"
    if others := sorted(set(spec.needs) - SIMPLE):
        return f"it needs {', '.join(others)}, which a phantom does not have"
    if "reference" not in spec.kinds:
        return f"it is for {', '.join(sorted(spec.kinds))} tasks"
    shares = spec.tiles is not None or spec.spectra is not None
    return "it shares a pass over the volumes with others" if shares else ""


def repeat(subject: Subject) -> Found:
    """The same twice."""
    if reason := _beyond(subject.spec):
        return left_out(reason)
    one, other = ([score.value for score in subject.scores(0.1)] for _ in range(2))
    if one != other:
        raise FailedError(f"the same volumes score {one[0]} and then {other[0]}")
    return passed("the same scores twice") if one else noted("no scores")


CHECKS: tuple[Check[Subject], ...] = (
    Check("load", loading, needed=True),
    Check("columns", columns),
    Check("light", light),
    Check("scores", scores),
    Check("repeat", repeat),
)
