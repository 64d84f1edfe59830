"""Every metric by its name. A module of this folder that has `SPECS` is enough for a metric; nothing here loads torch.

Computations live beside this folder; a module here imports them inside its evaluator.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module

from vemrecon.errors import ConfigError, unknown
from vemrecon.metrics.column import Column
from vemrecon.metrics.spec import MetricSpec


@cache
def metrics() -> Mapping[str, MetricSpec]:
    """All metrics, in the order in which they are listed."""
    found: list[MetricSpec] = []
    for module in pkgutil.iter_modules(__path__):
        found += import_module(f"{__name__}.{module.name}").SPECS
    return {spec.name: spec for spec in sorted(found, key=lambda spec: (spec.place, spec.name))}


def metric(name: str) -> MetricSpec:
    """A metric by name.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name not in metrics():
        raise unknown("metric", name, metrics())
    return metrics()[name]


def expanded(names: Iterable[str]) -> tuple[MetricSpec, ...]:
    """The metrics that are meant by names, each once, in the order of the catalogue.

    Raises:
        ConfigError: If a name is unknown.
    """
    meant = {part for name in names for part in metric(name).stands_for or (name,)}
    return tuple(spec for name, spec in metrics().items() if name in meant)


def versions_of(names: Iterable[str]) -> dict[str, int]:
    """Versions of the metrics that are meant by names; names that nobody knows any more are left out."""
    return {spec.name: spec.version for spec in expanded(name for name in names if name in metrics())}


def names_for(kind: str, gaps: bool = False) -> tuple[str, ...]:
    """Names of the metrics that a kind of task can be scored by; `gaps` says whether it has removed sections."""
    return tuple(name for name, spec in metrics().items() if spec.fits(kind, gaps))


def chosen(kind: str, asked: Iterable[str], gaps: bool = False) -> tuple[str, ...]:
    """Those asked for that a kind of task can be scored by, in the order asked; see `names_for`.

    Raises:
        ConfigError: If a name is unknown, or none of them fits.
    """
    asked = tuple(dict.fromkeys(asked))
    found = tuple(name for name in asked if metric(name).fits(kind, gaps))
    if not found:
        raise ConfigError(f"--metrics {' '.join(asked)}: a {kind} task is scored by {', '.join(names_for(kind, gaps))}")
    return found


def columns(kind: str, axis: str, names: Iterable[str]) -> tuple[Column, ...]:
    """Columns of some metrics, in the order of the catalogue; of those that look for things, one stands for all."""
    return tuple(column for spec in expanded(names) if spec.fits(kind, True) for column in spec.columns(kind, axis))
