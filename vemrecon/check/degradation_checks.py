"""What every degradation promises, as questions to one of them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from vemrecon.check.findings import Check, FailedError, Found, Named, noted, passed
from vemrecon.data.phantom import make_phantom
from vemrecon.degradations import Degradation, degradations, degrade
from vemrecon.errors import ConfigError
from vemrecon.plugins import class_path_of, load_class, meant
from vemrecon.volume import Region, Volume, VoxelSize

SCALES = (4.0, 8.0, 2.5)
CLOSE = 1e-5


class Subject(Named):
    """A degradation under check."""

    @cached_property
    def kind(self) -> type[Degradation]:
        """Its class."""
        if meant("degradation", self.name, degradations().own):
            return degradations()[self.name]
        path, public = class_path_of(self.name), "vemrecon.degradations.Degradation"
        found: type[Degradation] = load_class(f"degradation '{self.name}'", path, Degradation, public)
        return found

    @cached_property
    def truth(self) -> Volume:
        """A phantom."""
        return Volume(make_phantom((48, 64, 64)).grey, VoxelSize(8, 8, 8), "phantom")

    @cached_property
    def one(self) -> Degradation:
        """At the first scale that it takes."""
        refusals = []
        for scale in SCALES:
            try:
                return self.kind(scale)
            except ConfigError as error:
                refusals.append(str(error))
        raise FailedError(f"it takes none of the scales {', '.join(map(str, SCALES))}: {refusals[0]}")

    def observed(self, seed: int = 0) -> Volume:
        """What it makes of the phantom."""
        return degrade(self.truth, self.one, seed=seed)


def loading(subject: Subject) -> Found:
    """Import."""
    name = getattr(subject.kind, "name", "")
    if not name:
        raise FailedError("the class has no `name`")
    return passed(name)


def grid(subject: Subject) -> Found:
    """It says where sections lie, and makes as many as it says."""
    one, count = subject.one, subject.observed().shape[0]
    said = one.sections(subject.truth.shape[0])
    if count != said:
        raise FailedError(f"sections() says {said}, but {count} are made")
    positions = one.positions(count)
    if positions[-1] > subject.truth.shape[0] - 1:
        raise FailedError(f"the last section is said to lie at {positions[-1]:g}, behind the truth")
    made = subject.observed()
    if made.grid != one.grid:
        raise FailedError("the observed volume does not carry the grid")
    return passed(f"{count} sections, the first at {positions[0]:g}")


def repeat(subject: Subject) -> Found:
    """The same seed gives the same voxels."""
    one, other = (made.read(made.whole) for made in (subject.observed(), subject.observed()))
    if (between := float(np.abs(one - other).max())) > 0:
        raise FailedError(f"the same seed gives voxels that differ by {between:.2g}: derive randomness from `seed`")
    return passed("the same voxels twice")


def cuts(subject: Subject) -> Found:
    """Parts are what they are in the whole."""
    made = subject.observed()
    whole, (z, y, x) = made.read(made.whole), made.shape
    for start, stop in (((0, 0, 0), (z // 2, y, x)), ((z // 2, 5, 7), (z, y - 3, x - 2))):
        region = Region(start, stop)
        between = float(np.abs(made.read(region) - whole[region.slices]).max())
        if between > CLOSE:
            raise FailedError(
                f"a part of the volume differs by {between:.2g} from the same voxels of the whole: volumes are read in "
                "parts, so what a section depends on must follow from its number and the seed"
            )
    return passed("parts are as they are in the whole")


def reach(subject: Subject) -> Found:
    """Grey levels stay in [0, 1]."""
    made = subject.observed()
    voxels = made.read(made.whole)
    least, most = float(voxels.min()), float(voxels.max())
    if not (least >= 0 and most <= 1):
        raise FailedError(f"values from {least:.3g} to {most:.3g}: must lie in [0, 1]")
    if most - least < 0.05:
        return noted(f"values from {least:.3g} to {most:.3g}: there is hardly any contrast")
    return passed(f"values from {least:.3g} to {most:.3g}")


CHECKS: tuple[Check[Subject], ...] = (
    Check("load", loading, needed=True),
    Check("grid", grid),
    Check("repeat", repeat),
    Check("cuts", cuts),
    Check("range", reach),
)
