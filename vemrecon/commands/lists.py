"""The commands that list: methods, datasets, published numbers, and how to cite them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vemrecon.commands.cost import MethodsOptions
from vemrecon.file_options import RootOptions
from vemrecon.options import Options, option

__all__ = [
    "CiteOptions",
    "DatasetsOptions",
    "DegradationsOptions",
    "MethodsOptions",
    "MetricsOptions",
    "PublishedOptions",
    "SuitesOptions",
    "cite",
    "datasets",
    "degradations",
    "methods",
    "metrics",
    "published",
    "suites",
]


@dataclass(frozen=True, kw_only=True)
class DatasetsOptions(RootOptions):
    """Options of `datasets`."""

    name: str | None = option("show everything about this one", None, positional=True)


@dataclass(frozen=True, kw_only=True)
class MetricsOptions(Options):
    """Options of `metrics`."""

    name: str | None = option("show everything about this one", None, positional=True)


@dataclass(frozen=True, kw_only=True)
class DegradationsOptions(Options):
    """Options of `degradations`."""

    name: str | None = option("show everything about this one", None, positional=True)


@dataclass(frozen=True, kw_only=True)
class PublishedOptions(Options):
    """Options of `published`."""

    dataset: str | None = option("epfl, fib25, cremi or a name that papers use", None)
    scale: str | None = option("anisotropy factor, such as 8", None)
    metric: str | None = option("such as psnr, ssim, fsc, iou", None)
    method: str | None = option("such as isovem; brings its variants", None)


@dataclass(frozen=True, kw_only=True)
class SuitesOptions(Options):
    """`suites` has no options."""


@dataclass(frozen=True, kw_only=True)
class CiteOptions(Options):
    """Options of `cite`."""

    names: tuple[str, ...] = option("datasets and methods", positional=True)


def methods(options: MethodsOptions) -> int:
    """Names, regimes and titles, or all about one method, or what they cost."""
    if options.cost:
        from vemrecon.commands.cost import costs

        return costs(options)
    if options.recipes:
        from vemrecon.commands.recipes import recipes_page

        print(recipes_page(), end="")
        return 0
    if options.preset:
        from vemrecon.commands.recipes import show_preset

        return show_preset(options)
    from rich.console import Console
    from rich.table import Table

    from vemrecon.methods.registry import built_in_methods, external_recipes, method_entry, plugin_methods

    if options.name:
        entry = method_entry(options.name)
        card, presets = entry.card, entry.presets
        if card is None:
            _, card, presets = entry.resolved()
        facts = {"method": entry.name, "class": entry.class_path, "package": entry.package, **vars(card)}
        asked = f"see --preset {{}} --scale {options.scale:g}"
        return _show(facts, {name: asked.format(name) if "parts" in one else one for name, one in presets.items()})
    table = Table("method", "regime", "presets", "title", box=None, pad_edge=False, padding=(0, 2))
    built_in, plugins = built_in_methods(), plugin_methods()
    for name, entry in built_in.items():
        assert entry.card is not None
        table.add_row(name, entry.card.regime, " ".join(entry.presets), entry.card.title)
    for entry in plugins:
        table.add_row(entry.name, "", "", f"{entry.class_path} (package {entry.package})")
    for name in external_recipes():
        card = method_entry(name).card
        assert card is not None
        table.add_row(name, card.regime, "", card.title)
    Console(highlight=False).print(table)
    return 0


def datasets(options: DatasetsOptions) -> int:
    """Names, splits and titles, or all about one dataset."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.commands.dataset_lines import dataset_lines
    from vemrecon.data import dataset_card, dataset_names, default_data_root, plugin_datasets

    if options.name:
        print("\n".join(dataset_lines(dataset_card(options.name), options.data_root or default_data_root())))
        return 0
    table = Table("dataset", "splits", "title", box=None, pad_edge=False, padding=(0, 2))
    for name in dataset_names():
        card = dataset_card(name)
        table.add_row(name, " ".join(card.splits), card.title)
    for name, one in plugin_datasets().items():
        table.add_row(name, "", f"{one.place} (package {one.package})")
    table.add_row("local:PATH", "whole", "a file of your own (local:PATH:DATASET inside HDF5 or zarr)")
    Console(highlight=False).print(table)
    return 0


def metrics(options: MetricsOptions) -> int:
    """Names, kinds of task and meaning, or all scores that one gives."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.errors import PluginError
    from vemrecon.metrics import catalogue

    console = Console(highlight=False)
    if options.name is None:
        table = Table("metric", "tasks", "needs", "what it measures", box=None, pad_edge=False, padding=(0, 2))
        for name in catalogue.metrics():
            try:
                spec = catalogue.metric(name)
            except PluginError as error:
                table.add_row(name, "", "", str(error))
                continue
            parts = catalogue.expanded([name])
            kinds = sorted(set().union(*(part.kinds for part in parts)))
            needs = sorted(set().union(*(part.needs for part in parts)))
            table.add_row(name, " ".join(kinds), " ".join(needs), spec.words + (" (slow)" if spec.slow else ""))
        console.print(table)
        return 0
    for spec in catalogue.expanded([options.name]):
        console.print(f"{spec.name}: {spec.words}")
        for kind in sorted(spec.kinds | spec.gaps):
            title = f"{kind} tasks{'' if spec.fits(kind) else ' with missing sections'}"
            table = Table("", "better", "unit", "", box=None, pad_edge=False, padding=(0, 2), title=title)
            table.title_justify = "left"
            for column in spec.columns(kind, "y" if kind == "lateral" else "z"):
                table.add_row(column.heading, column.better.value, column.unit, column.help)
            console.print(table)
    return 0


def degradations(options: DegradationsOptions) -> int:
    """Names and meaning, or all arguments of one."""
    from inspect import getdoc

    from rich.console import Console
    from rich.table import Table

    from vemrecon.degradations import degradations as known
    from vemrecon.degradations.catalogue import settable
    from vemrecon.errors import PluginError, unknown

    console = Console(highlight=False)
    if options.name is None:
        table = Table("degradation", "arguments", "what it does", box=None, pad_edge=False, padding=(0, 2))
        for name in known():
            try:
                kind = known()[name]
            except PluginError as error:
                table.add_row(name, "", str(error))
                continue
            arguments = " ".join(f"{key}={value}" for key, value in settable(kind).items())
            table.add_row(name, arguments, (getdoc(kind) or "").partition("\n\n")[0].replace("\n", " "))
        console.print(table)
        return 0
    if options.name not in known():
        raise unknown("degradation", options.name, known())
    kind = known()[options.name]
    console.print(f"{options.name}: {getdoc(kind)}")
    console.print(*(f"  --set {key}={value}" for key, value in settable(kind).items()), sep="\n")
    return 0


def published(options: PublishedOptions) -> int:
    """Numbers that papers have published, one per line, and the papers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    from vemrecon.report.published import matching, published_facts, read_published

    found = matching(read_published(), options.dataset, options.scale, options.metric, options.method)
    if not found:
        print("no published number fits all of these options")
        return 0
    heads = ("paper", "table", "dataset", "scale", "degradation", "method", "supervision", "metric", "plane")
    table = Table(*heads, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("value", justify="right")
    for column in table.columns:
        column.no_wrap = True
    for score in found:
        scale = "" if score.scale is None else f"{score.scale:g}"
        where = f"{score.table}, {score.part}" if score.part else score.table
        value = f"{score.text} ± {score.std}" if score.std else score.text
        facts = (score.dataset, scale, score.degradation, score.method, score.supervision, score.metric, score.plane)
        table.add_row(*map(Text, (score.paper, where, *facts, value)))
    console = Console(highlight=False)
    console.width = max(console.width, Measurement.get(console, console.options.update(width=1000), table).maximum)
    console.print(table)
    console.print()
    for key in dict.fromkeys(score.paper for score in found):
        console.print(Text(f"{key}: {published_facts()['papers'].get(key, 'not listed')}"), soft_wrap=True)
    print("They can rarely be compared with each other or with ours: see leaderboards/README.md.")
    return 0


def suites(options: SuitesOptions) -> int:
    """Names and purposes of the suites."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.bench.suite import titles

    table = Table("suite", "what it compares", box=None, pad_edge=False, padding=(0, 2))
    for name, title in titles().items():
        table.add_row(name, title)
    console = Console(highlight=False)
    console.print(table)
    console.print("`vemrecon plan --suite NAME` shows its runs, without data or a network; bench does them")
    return 0


def cite(options: CiteOptions) -> int:
    """Citation and licence of datasets and methods."""
    for number, facts in enumerate([_citation(name) for name in options.names]):
        if number:
            print()
        _show(facts, {})
    return 0


def _citation(name: str) -> dict[str, Any]:
    from vemrecon.data import dataset_card, dataset_names, is_dataset, plugin_datasets
    from vemrecon.errors import unknown
    from vemrecon.methods.registry import built_in_methods, method_entry, plugin_methods

    if is_dataset(name):
        card = dataset_card(name)
        facts = {"dataset": name, "title": card.title, "citation": card.citation or "not stated"}
        return facts | {"licence": card.licence or "not stated"}
    known = [*dataset_names(), *plugin_datasets(), *built_in_methods(), *(entry.name for entry in plugin_methods())]
    if name not in known and "." not in name and ":" not in name:  # class paths are in no list
        raise unknown("dataset or method", name, known)
    entry = method_entry(name)
    method = entry.card or entry.resolved()[1]
    facts = {"method": entry.name, "title": method.title, "paper": method.paper}
    facts["citation"] = method.citation or ("" if method.paper else "not stated")
    return facts | {"licence": method.licence or "not stated"}


def _show(facts: Mapping[str, Any], more: Mapping[str, Any]) -> int:
    for name, value in (*facts.items(), *more.items()):
        if value not in ("", None):
            print(f"{name + ':':14} {value}")
    return 0
