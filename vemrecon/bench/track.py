"""`Track`: trainings that are alike in what they may take, so that methods and not their budgets are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vemrecon.errors import ConfigError
from vemrecon.protocol import value_of

FORM = "must read minutes=N, with a number above 0"


@dataclass(frozen=True)
class Track:
    """The same time of training for every method that learns.

    It is the time of one device: two devices may take half of it each. All stages together get it, with what is
    prepared for them and what watches them; see `vemrecon.fit.minutes`.
    """

    minutes: float

    @property
    def seconds(self) -> float:
        """Of one device."""
        return 60 * self.minutes

    @property
    def words(self) -> str:
        """What a reader calls it."""
        return f"{self.minutes:g} min of training"


def read_track(given: Any) -> Track:
    """A track, from `minutes=10` or from named values.

    >>> read_track("minutes=10"), read_track({"minutes": 0.5})
    (Track(minutes=10.0), Track(minutes=0.5))

    Raises:
        ConfigError: If it reads otherwise.
    """
    if isinstance(given, Track):
        return given
    name, _, word = str(given).partition("=")
    values = given if isinstance(given, Mapping) else {name: value_of(word)}
    minutes = values.get("minutes")
    if set(values) != {"minutes"} or isinstance(minutes, bool) or not isinstance(minutes, int | float):
        raise ConfigError(f"--track {given}: {FORM}")
    if not (math.isfinite(minutes) and minutes > 0):
        raise ConfigError(f"--track {given}: {FORM}")
    return Track(float(minutes))
