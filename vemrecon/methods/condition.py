"""`Condition`: the tasks that a part of a preset is for. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vemrecon.errors import ConfigError, unknown
from vemrecon.volume import SectionGrid

BOUNDS = {"from": "from {:g}", "above": "above {:g}", "to": "up to {:g}", "below": "below {:g}"}
"""Names of the bounds of a scale, and how they read."""


@dataclass(frozen=True)
class Situation:
    """What a method is to do, as far as the arguments of a preset may depend on it.

    Attributes:
        scale: Axial voxels to make of each observed section.
        degradation: Name of what made the sections; empty where nobody knows.
        dataset: Name of the dataset; empty for a volume of one's own.
    """

    scale: float
    degradation: str = ""
    dataset: str = ""

    @classmethod
    def of_grid(cls, grid: SectionGrid) -> Situation:
        """That of a volume of which no more is known than where its sections lie."""
        return cls(grid.scale, "subsample" if grid.thin else "average")


@dataclass(frozen=True)
class ScaleRange:
    """Scales between bounds; `above` and `below` are not part of it, `first` and `last` are."""

    first: float | None = None
    above: float | None = None
    last: float | None = None
    below: float | None = None

    def __contains__(self, scale: float) -> bool:
        return (
            (self.first is None or scale >= self.first)
            and (self.above is None or scale > self.above)
            and (self.last is None or scale <= self.last)
            and (self.below is None or scale < self.below)
        )

    def __str__(self) -> str:
        values = (self.first, self.above, self.last, self.below)
        words = (text.format(value) for text, value in zip(BOUNDS.values(), values, strict=True) if value is not None)
        return " and ".join(words)


@dataclass(frozen=True)
class Condition:
    """Holds where all of what it names holds; one that names nothing always does.

    Attributes:
        scale: Scales, one by one or between bounds; None for all.
        degradation: Names; none for all.
        dataset: Names; none for all, and for volumes of no dataset.
    """

    scale: tuple[float, ...] | ScaleRange | None = None
    degradation: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()

    @classmethod
    def read(cls, values: Any, where: str) -> Condition:
        """From the values of `when`.

        Args:
            values: A mapping such as {scale: {from: 8}, dataset: cremi}.
            where: For messages.

        Raises:
            ConfigError: If a name or a value is none that a condition may have.
        """
        names = ("scale", "degradation", "dataset")
        if not isinstance(values, Mapping) or not values:
            raise ConfigError(f"{where}: when: must name {' or '.join(names)}, not {values}")
        for name in values:
            if name not in names:
                raise unknown(f"condition of {where}", str(name), names)
        scale = values.get("scale")
        return cls(
            None if scale is None else _scales(scale, where),
            *(_words(values.get(name, ()), name, where) for name in names[1:]),
        )

    def holds(self, situation: Situation) -> bool:
        """Whether it holds for a task."""
        return (
            (self.scale is None or situation.scale in self.scale)
            and (not self.degradation or situation.degradation in self.degradation)
            and (not self.dataset or situation.dataset in self.dataset)
        )

    def __str__(self) -> str:
        scales = " or ".join(f"{scale:g}" for scale in self.scale) if isinstance(self.scale, tuple) else self.scale
        parts = [f"scale {scales}"] if scales is not None else []
        parts += [
            f"{name} {' or '.join(names)}" for name in ("degradation", "dataset") if (names := getattr(self, name))
        ]
        return ", ".join(parts)


def _scales(value: Any, where: str) -> tuple[float, ...] | ScaleRange:
    if not isinstance(value, Mapping):
        return tuple(_number(one, where) for one in (value if isinstance(value, list | tuple) else [value]))
    for name in value:
        if name not in BOUNDS:
            raise unknown(f"bound of a scale of {where}", str(name), BOUNDS)
    if not value:
        raise ConfigError(f"{where}: scale: must have a bound: {', '.join(BOUNDS)}")
    return ScaleRange(*(_number(value[name], where) if name in value else None for name in BOUNDS))


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        raise ConfigError(f"{where}: scale: {value} is no scale, which is a number of at least 1")
    return float(value)


def _words(value: Any, name: str, where: str) -> tuple[str, ...]:
    found = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(one, str) and one for one in found):
        raise ConfigError(f"{where}: {name}: must be a name or a list of names, not {value}")
    return found
