"""The commands that list: methods, datasets, published numbers, and how to cite them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vemrecon.commands.cost import MethodsOptions
from vemrecon.file_options import RootOptions
from vemrecon.options import Options, option

if TYPE_CHECKING:
    from vemrecon.bench.scorable import Scorable
    from vemrecon.data import DatasetCard
    from vemrecon.data.card import Box, RemoteFile


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
    from rich.console import Console
    from rich.table import Table

    from vemrecon.methods.registry import built_in_methods, method_entry, plugin_methods

    if options.name:
        entry = method_entry(options.name)
        card, presets = entry.card, entry.presets
        if card is None:
            _, card, presets = entry.resolved()
        return _show({"method": entry.name, "class": entry.class_path, "package": entry.package, **vars(card)}, presets)
    table = Table("method", "regime", "presets", "title", box=None, pad_edge=False, padding=(0, 2))
    built_in, plugins = built_in_methods(), plugin_methods()
    for name, entry in built_in.items():
        assert entry.card is not None
        table.add_row(name, entry.card.regime, " ".join(entry.presets), entry.card.title)
    for entry in plugins:
        others = [e.package for e in plugins if e.name == entry.name and e is not entry]
        others += ["vemrecon"] if entry.name in built_in else []
        clash = f"name clash with {' and '.join(others)}: give the class path instead" if others else ""
        table.add_row(entry.name, "", "", clash or f"{entry.class_path} (package {entry.package})")
    Console(highlight=False).print(table)
    return 0


def datasets(options: DatasetsOptions) -> int:
    """Names, splits and titles, or all about one dataset."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.data import dataset_card, dataset_names, default_data_root

    if options.name:
        print("\n".join(_dataset_lines(dataset_card(options.name), options.data_root or default_data_root())))
        return 0
    table = Table("dataset", "splits", "title", box=None, pad_edge=False, padding=(0, 2))
    for name in dataset_names():
        card = dataset_card(name)
        table.add_row(name, " ".join(card.splits), card.title)
    table.add_row("local:PATH", "whole", "a file of your own (local:PATH:DATASET inside HDF5 or zarr)")
    Console(highlight=False).print(table)
    return 0


def metrics(options: MetricsOptions) -> int:
    """Names, kinds of task and meaning, or all scores that one gives."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.metrics import catalogue

    console = Console(highlight=False)
    if options.name is None:
        table = Table("metric", "tasks", "needs", "what it measures", box=None, pad_edge=False, padding=(0, 2))
        for name, spec in catalogue.metrics().items():
            parts = catalogue.expanded([name])
            kinds = sorted(set().union(*(part.kinds for part in parts)))
            needs = sorted(set().union(*(part.needs for part in parts)))
            table.add_row(name, " ".join(kinds), " ".join(needs), spec.words + (" (slow)" if spec.slow else ""))
        console.print(table)
        return 0
    for spec in catalogue.expanded([options.name]):
        console.print(f"{spec.name}: {spec.words}")
        for kind in sorted(spec.kinds):
            table = Table("", "better", "unit", "", box=None, pad_edge=False, padding=(0, 2), title=f"{kind} tasks")
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
    from vemrecon.errors import unknown

    console = Console(highlight=False)
    if options.name is None:
        table = Table("degradation", "arguments", "what it does", box=None, pad_edge=False, padding=(0, 2))
        for name, kind in known().items():
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
    from vemrecon.data import dataset_card, dataset_names
    from vemrecon.errors import unknown
    from vemrecon.methods.registry import built_in_methods, method_entry, plugin_methods

    if name in dataset_names():
        card = dataset_card(name)
        facts = {"dataset": name, "title": card.title, "citation": card.citation or "not stated"}
        return facts | {"licence": card.licence or "not stated"}
    known = [*dataset_names(), *built_in_methods(), *(entry.name for entry in plugin_methods())]
    if name not in known and "." not in name and ":" not in name:  # class paths are in no list
        raise unknown("dataset or method", name, known)
    entry = method_entry(name)
    method = entry.card or entry.resolved()[1]
    facts = {"method": entry.name, "title": method.title, "paper": method.paper}
    facts["citation"] = method.citation or ("" if method.paper else "not stated")
    return facts | {"licence": method.licence or "not stated"}


def _dataset_lines(card: DatasetCard, root: Path) -> Iterator[str]:
    """All that is known about a dataset, for people."""
    from vemrecon.bench.scorable import scorable

    facts = {"dataset": card.name, "title": card.title, "tasks": ", ".join(card.tasks), "voxel size": card.voxel_size}
    facts |= {"grey levels": card.dtype, "grey range": _range_text(card.intensity_range)}
    facts |= {"licence": card.licence, "citation": card.citation, "source": card.source, "note": card.note}
    yield from (f"{name + ':':14} {value}" for name, value in facts.items() if value not in ("", None))
    for key, volume in card.files.items():
        yield f"file {key}:"
        yield from _file_lines(volume, root)
        for what, labels in volume.labels.items():
            if labels.path == volume.path:
                yield f"  labels {what}: {labels.dataset} of the same file"
            else:
                yield f"  labels {what}:"
                yield from ("  " + line for line in _file_lines(labels, root))
    for key, split in card.splits.items():
        of = f"the splits {', '.join(split.group)}" if split.group else f"{split.file} {split.region or 'whole'}"
        yield f"split {key + ':':14} {of}" + (f" ({split.use})" if split.use else "")
    for kind in card.tasks:
        yield from _score_lines(scorable(card, kind))


def _score_lines(found: Scorable) -> Iterator[str]:
    """What a kind of task can be scored by, and why not by the rest."""
    yield f"scores of {found.kind} tasks ({', '.join(found.splits)}):"
    yield f"  metrics:   {' '.join(found.given) or 'none'}"
    for reason in dict.fromkeys(found.lacking.values()):
        names = " ".join(name for name, why in found.lacking.items() if why == reason)
        yield f"  without:   {names}: {reason}"


def _file_lines(file: RemoteFile, root: Path) -> Iterator[str]:
    from vemrecon.data.card import DatasetFile, LabelFile
    from vemrecon.data.remote.missing import size_text
    from vemrecon.data.remote.recognise import as_here, known_sha256

    file = as_here(file, root)
    volume = file if isinstance(file, DatasetFile) else DatasetFile()
    if volume.generator is not None:
        yield "  made on demand"
        return
    path = root / file.path
    place = "is here" if path.exists() else "not here"
    sha256 = known_sha256(file, path) or ("" if file.voxels_sha256 else "recorded at first download")
    box = file.box
    facts = {
        "path": f"{file.path} ({place}: {path})",
        "inside": file.dataset,
        "shape": volume.shape and " x ".join(map(str, volume.shape)),
        "range": _range_text(volume.intensity_range),
        "size": size_text(file.bytes) if file.bytes else None,
        "axes": volume.axes,
        "sha256": sha256,
        "of voxels": file.voxels_sha256,
        "values": ", ".join(map(str, file.values)) if isinstance(file, LabelFile) else None,
        "url": file.url or (_box_text(box) if box else "none; see source"),
        "server": None if file.verify_tls else "its certificate is not verified; the sha256 is",
        **{f"mirror {number}": url for number, url in enumerate(file.mirrors, start=1)},
    }
    yield from (f"  {name + ':':10} {value}" for name, value in facts.items() if value)


def _box_text(box: Box) -> str:
    where = f", mip {box.mip}" if box.mip else f", {box.dataset}" if box.dataset else ""
    whole = f" of {' x '.join(map(str, box.whole))} voxels" if box.whole else ", whose size is not stated"
    size = f", voxels of {box.voxel_size}" if box.voxel_size else ""
    return f"{box.url}{where} ({box.format}), box {box.region}{whole}{size}"


def _range_text(span: tuple[float, float] | None) -> str:
    return f"{span[0]:g} to {span[1]:g} become black and white" if span else ""


def _show(facts: Mapping[str, Any], more: Mapping[str, Any]) -> int:
    for name, value in (*facts.items(), *more.items()):
        if value not in ("", None):
            print(f"{name + ':':14} {value}")
    return 0
