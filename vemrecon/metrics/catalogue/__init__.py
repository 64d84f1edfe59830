"""Every metric by its name. A module of this folder that has `SPECS` is enough for a metric; nothing here loads torch.

Other packages announce theirs under the entry points `vemrecon.metrics`.

Computations live beside this folder; a module here imports them inside its evaluator.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module

from vemrecon.errors import ConfigError, PluginError, unknown
from vemrecon.metrics.column import Column
from vemrecon.metrics.spec import LATERAL, MetricSpec
from vemrecon.plugins import Announced, Catalogue


@cache
def metrics() -> Catalogue[MetricSpec]:
    """All metrics, those of this project in the order in which they are listed, then those of other packages."""
    found: list[MetricSpec] = []
    for module in pkgutil.iter_modules(__path__):
        found += import_module(f"{__name__}.{module.name}").SPECS
    own = {spec.name: spec for spec in sorted(found, key=lambda spec: (spec.place, spec.name))}
    return Catalogue("metric", own, _of_package)


def _of_package(one: Announced) -> MetricSpec:
    """The metric of another package, which may not take the place of ours: scores are known by names alone.

    Raises:
        PluginError: If it is no metric, or one of another name.
    """
    found = one.load()
    where = f"metric '{one.name}' of the package {one.package}"
    if one.name in metrics().own:
        raise PluginError(f"{where}: a built-in metric has this name, and scores are known by it; it needs another one")
    if not isinstance(found, MetricSpec) or found.name != one.name:
        raise PluginError(f"{where}: {one.place} must be a MetricSpec of the name '{one.name}'")
    others = {c.metric for kind in found.kinds for c in found.columns(kind, "y" if kind == LATERAL else "z")}
    if others - {one.name}:
        raise PluginError(f"{where}: its columns must be those of '{one.name}', not of {', '.join(sorted(others))}")
    return found


def metric(name: str) -> MetricSpec:
    """A metric by name.

    Raises:
        ConfigError: If there is none of this name.
        PluginError: If another package has it, and it cannot be used.
    """
    if name not in metrics():
        raise unknown("metric", name, metrics())
    return metrics()[name]


def expanded(names: Iterable[str]) -> tuple[MetricSpec, ...]:
    """The metrics that are meant by names, each once, in the order of the catalogue.

    Raises:
        ConfigError: If a name is unknown.
        PluginError: See `metric`.
    """
    meant = {part for name in names for part in metric(name).stands_for or (metrics().canonical(name),)}
    return tuple(metrics()[name] for name in metrics() if name in meant)


def known(names: Iterable[str]) -> tuple[str, ...]:
    """Those names that there is a metric for here which can be used."""
    return tuple(name for name in names if metrics().get_usable(name) is not None)


def versions_of(names: Iterable[str]) -> dict[str, int]:
    """Versions of the metrics that are meant by names; names that nobody knows any more are left out."""
    return {spec.name: spec.version for spec in expanded(known(names))}


def names_for(kind: str, gaps: bool = False) -> tuple[str, ...]:
    """Names of the metrics that a kind of task can be scored by; `gaps` says whether it has removed sections."""
    return tuple(name for name, spec in metrics().usable().items() if spec.fits(kind, gaps))


def chosen(kind: str, asked: Iterable[str], gaps: bool = False) -> tuple[str, ...]:
    """Those asked for that a kind of task can be scored by, in the order asked; see `names_for`.

    Raises:
        ConfigError: If a name is unknown, or none of them fits.
    """
    asked = tuple(dict.fromkeys(map(metrics().canonical, asked)))
    found = tuple(name for name in asked if metric(name).fits(kind, gaps))
    if not found:
        raise ConfigError(f"--metrics {' '.join(asked)}: a {kind} task is scored by {', '.join(names_for(kind, gaps))}")
    return found


def columns(kind: str, axis: str, names: Iterable[str]) -> tuple[Column, ...]:
    """Columns of some metrics, in the order of the catalogue; of those that look for things, one stands for all."""
    return tuple(column for spec in expanded(names) if spec.fits(kind, True) for column in spec.columns(kind, axis))
