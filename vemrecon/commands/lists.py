"""The commands that list: methods, datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


def methods(options: Any) -> int:
    """Names, regimes and titles, or all about one method."""
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


def datasets(options: Any) -> int:
    """Names, splits and titles, or all about one dataset."""
    from rich.console import Console
    from rich.table import Table

    from vemrecon.data.catalogue import dataset_card, dataset_names

    if options.name:
        card = dataset_card(options.name)
        facts = {"dataset": card.name, "title": card.title, "voxel size": card.voxel_size, "licence": card.licence}
        facts |= {"citation": card.citation, "source": card.source}
        files = {f"file {key}": file.url or file.path or "made on demand" for key, file in card.files.items()}
        splits = {f"split {key}": f"{s.file} {s.region or ''} ({s.use})" for key, s in card.splits.items()}
        return _show(facts | files, splits)
    table = Table("dataset", "splits", "title", box=None, pad_edge=False, padding=(0, 2))
    for name in dataset_names():
        card = dataset_card(name)
        table.add_row(name, " ".join(card.splits), card.title)
    table.add_row("local:PATH", "whole", "a file of your own (local:PATH:DATASET inside HDF5 or zarr)")
    Console(highlight=False).print(table)
    return 0


def _show(facts: Mapping[str, Any], more: Mapping[str, Any]) -> int:
    for name, value in (*facts.items(), *more.items()):
        if value not in ("", None):
            print(f"{name + ':':14} {value}")
    return 0
