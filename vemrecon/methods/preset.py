"""`Preset`: arguments of a method with what they depend on, where each comes from, and what differs from the source.

As data a preset is a mapping of arguments, or one that has `parts`:

    paper:
      parts: # in order; a later one takes the place of what earlier ones say, also inside arguments that are mappings
        - {from: paper, arguments: {batch: 2, crop: [16, 128, 128]}}
        - {from: released code, when: {scale: {above: 9}}, arguments: {crop: [16, 160, 160]}}
      reasons: {crop: the code has one for each of 4, 8 and 10}
      deviations:
        - {at: model choice, is: the best on validation there, the last one here}

`like: paper` begins with the parts, reasons and deviations of another preset of the method; `agrees` names the places
of those of its deviations that this one does not have. Sources, reasons, conditions and deviations may all be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vemrecon.errors import ConfigError, unknown
from vemrecon.methods.condition import Condition, Situation

SOURCES = ("paper", "released code", "paper and released code", "specification", "ours")
"""Where an argument comes from. `specification`: inferred from all that is known about the original; `ours`: chosen
here, where nothing is."""
STEPS = ("data", "network", "loss", "training", "model choice", "reconstruction")
"""Places of deviations that are no arguments."""
ALWAYS = Condition()


@dataclass(frozen=True)
class Part:
    """Some arguments, where they come from, and the tasks that they are for."""

    arguments: Mapping[str, Any]
    source: str = ""
    """One of `SOURCES`, or empty."""
    when: Condition = ALWAYS


@dataclass(frozen=True)
class Deviation:
    """Where a preset differs from what it is named after."""

    at: str
    """An argument, with dots into those that are mappings, or one of `STEPS`."""
    words: str
    when: Condition = ALWAYS


@dataclass(frozen=True)
class Stated:
    """An argument as it is for a task."""

    name: str
    """With dots into arguments that are mappings."""
    value: Any
    source: str
    reason: str
    when: Condition
    """The tasks for which it is this one."""


@dataclass(frozen=True)
class Preset:
    """A named set of arguments of a method."""

    parts: tuple[Part, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why an argument is what it is, where sources differ."""
    deviations: tuple[Deviation, ...] = ()

    @classmethod
    def read(cls, name: str, presets: Mapping[str, Mapping[str, Any]], within: Sequence[str] = ()) -> Preset:
        """One of the presets of a method.

        Args:
            name: Of the preset.
            presets: All of the method, as data.
            within: Presets that begin with it.

        Raises:
            ConfigError: If it has unknown keys or values, or begins with itself or with one that there is not.
        """
        where, data = f"preset {name}", presets[name]
        if "parts" not in data:
            return cls((Part(data),))
        _only(data, ("like", "parts", "reasons", "deviations", "agrees"), where)
        below, agrees = cls(()), _list(data.get("agrees", []), "agrees", where)
        if (like := data.get("like")) is not None:
            if like not in presets or like in (*within, name):
                raise ConfigError(f"{where}: like: {like} is no other preset of this method")
            below = cls.read(like, presets, (*within, name))
        for place in agrees:
            if place not in {one.at for one in below.deviations}:
                raise unknown(f"deviation that {where} agrees at", str(place), {one.at for one in below.deviations})
        return cls(
            (*below.parts, *(_part(one, where) for one in _list(data["parts"], "parts", where))),
            {**below.reasons, **_texts(data.get("reasons", {}), where)},
            (
                *(one for one in below.deviations if one.at not in agrees),
                *(_deviation(one, where) for one in _list(data.get("deviations", []), "deviations", where)),
            ),
        )

    def arguments(self, situation: Situation) -> dict[str, Any]:
        """What the method is made with for a task."""
        result: dict[str, Any] = {}
        for part in self.parts:
            if part.when.holds(situation):
                result = merged(result, part.arguments)
        return result

    def stated(self, situation: Situation) -> tuple[Stated, ...]:
        """Every argument with its source, sorted by name."""
        found = {name: cases for name in self.names if (cases := self.cases(name, situation))}
        return tuple(cases[-1] for cases in found.values())

    def cases(self, name: str, situation: Situation | None = None) -> tuple[Stated, ...]:
        """What an argument may be, a later value before an earlier one where both are for a task.

        Args:
            name: Of the argument, with dots into those that are mappings.
            situation: The task; None for all tasks.
        """
        found: list[Stated] = []
        for part in self.parts:
            values = dict(leaves(part.arguments))
            if name in values and (situation is None or part.when.holds(situation)):
                found = [] if part.when == ALWAYS else [one for one in found if one.when != part.when]
                found.append(Stated(name, values[name], part.source, self.reasons.get(name, ""), part.when))
        return tuple(found)

    def deviations_for(self, situation: Situation) -> tuple[Deviation, ...]:
        """Those that a task has."""
        return tuple(one for one in self.deviations if one.when.holds(situation))

    @property
    def names(self) -> tuple[str, ...]:
        """All arguments that it may have, with dots into those that are mappings, sorted."""
        return tuple(sorted({name for part in self.parts for name, _ in leaves(part.arguments)}))

    @property
    def by_task(self) -> tuple[str, ...]:
        """Those that are not the same for all tasks."""
        return tuple(name for name in self.names if any(case.when != ALWAYS for case in self.cases(name)))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of two parts, also inside those that are mappings in both.

    >>> merged({"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}, 'd': 1}
    """
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            value = merged(old, value)
        result[name] = value
    return result


def leaves(arguments: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    """Arguments one by one, with dots into those that are mappings.

    >>> list(leaves({"a": {"b": 1, "c": [2]}, "d": {}}))
    [('a.b', 1), ('a.c', [2]), ('d', {})]
    """
    for name, value in arguments.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{outer}{name}.")
        else:
            yield f"{outer}{name}", value


def _part(data: Any, where: str) -> Part:
    _only(data, ("from", "when", "arguments"), f"part of {where}")
    source, arguments = data.get("from", ""), data.get("arguments")
    if "from" in data and source not in SOURCES:
        raise unknown(f"source of {where}", str(source), SOURCES)
    if not isinstance(arguments, Mapping):
        raise ConfigError(f"{where}: a part must have named arguments, not {arguments}")
    return Part(arguments, source, _when(data, where))


def _deviation(data: Any, where: str) -> Deviation:
    _only(data, ("at", "is", "when"), f"deviation of {where}")
    texts = _texts({name: data.get(name) for name in ("at", "is")}, where)
    return Deviation(texts["at"], texts["is"], _when(data, where))


def _when(data: Mapping[str, Any], where: str) -> Condition:
    return Condition.read(data["when"], where) if "when" in data else ALWAYS


def _only(data: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: must hold {', '.join(known)}, not {data}")
    for key in data:
        if key not in known:
            raise unknown(f"key of {where}", str(key), known)


def _list(value: Any, name: str, where: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: {name}: must be a list, not {value}")
    return value


def _texts(data: Any, where: str) -> Mapping[str, str]:
    if not isinstance(data, Mapping) or not all(isinstance(text, str) and text for text in data.values()):
        raise ConfigError(f"{where}: must say in words, not {data}")
    return data
