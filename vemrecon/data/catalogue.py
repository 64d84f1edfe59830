"""Datasets by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vemrecon import protocol
from vemrecon.data.card import DatasetCard, DatasetFile, card_from
from vemrecon.data.local_splits import FILE, default_splits, local_tasks
from vemrecon.errors import ConfigError, PluginError, VemreconError, unknown
from vemrecon.plugins import Announced, announced, meant, named
from vemrecon.volume import Edges, Reading, VoxelSize, open_volume
from vemrecon.volume.geometry import require_square

LOCAL = "local:"
CARD_FILES = (".yaml", ".yml")


def dataset_names() -> list[str]:
    """Names of the built-in datasets."""
    return protocol.names("datasets")


def dataset_card(name: str, voxel_size: VoxelSize | Edges | None = None, reading: Reading | None = None) -> DatasetCard:
    """The card of a dataset, that of a YAML file of one's own, or a card made for `local:PATH[:DATASET]`.

    Args:
        name: Of the dataset.
        voxel_size: For local files that do not say theirs; splits and kinds of task follow from it.
        reading: What else the user says about local files.

    Raises:
        ConfigError: If the name is unknown, or the card cannot be used.
        PluginError: If another package has it, and it cannot be loaded.
    """
    if name.startswith(LOCAL):
        return _local_card(*split_local(name), voxel_size, reading)
    if name.endswith(CARD_FILES):
        return _own_card(Path(name))
    one = meant("dataset", name, dataset_names())
    if one is None:
        raise unknown("dataset", name, [*dataset_names(), *plugin_datasets(), f"{LOCAL}PATH", "CARD.yaml"])
    if one.built_in:
        return card_from(one.name, protocol.load("datasets", one.name), protocol.load("splits", one.name))
    return _card_of_package(one)


def is_dataset(name: str) -> bool:
    """Whether this is the name of a dataset, of this project or another package."""
    return meant("dataset", name, dataset_names()) is not None


def plugin_datasets() -> dict[str, Announced]:
    """What installed packages announce under the entry points `vemrecon.datasets`, by the names that cards have."""
    return {named(one, dataset_names()): one for one in announced("dataset")}


def _card_of_package(one: Announced) -> DatasetCard:
    """The card of another package; where its files are is relative to the data root, as for our own.

    Raises:
        PluginError: If there is no card.
        ConfigError: If it cannot be used.
    """
    path = one.load()
    if not isinstance(path, Path):
        raise PluginError(f"dataset '{one.name}' of the package {one.package}: {one.place} must be the Path of a card")
    facts = protocol.load_yaml(path)
    return card_from(named(one, dataset_names()), facts, facts.pop("splits", {}))


def _own_card(path: Path) -> DatasetCard:
    """A card with its splits in one file, named after the file; paths of volumes are relative to it."""
    facts = protocol.load_yaml(path)
    if path.stem in dataset_names():
        raise ConfigError(f"{path}: a dataset of the name '{path.stem}' is built in; give the card another file name")
    splits = facts.pop("splits", {})
    card = card_from(path.stem, facts, splits)
    folder = path.resolve().parent
    files = {}
    for key, file in card.files.items():
        labels = {kind: replace(one, path=str(folder / one.path)) for kind, one in file.labels.items()}
        packed = file.packed and replace(file.packed, path=str(folder / file.packed.path))
        files[key] = replace(file, path=str(folder / file.path), labels=labels, packed=packed)
    return replace(card, files=files)


def _local_card(
    path: Path, inside: str | None, voxel_size: VoxelSize | Edges | None, reading: Reading | None
) -> DatasetCard:
    try:
        volume = open_volume(path, inside, voxel_size=voxel_size, reading=reading)
        require_square(volume)
        size, splits = volume.voxel_size, default_splits(volume.shape, volume.voxel_size)
    except VemreconError:  # said when the file is located
        size, splits = None, default_splits((1, 1, 1), None)
    return DatasetCard(
        name=f"{LOCAL}{path.name}" + (f":{inside}" if inside else ""),
        title=f"local file {path.name}",
        files={FILE: DatasetFile(path=str(path), dataset=inside)},
        splits=splits,
        voxel_size=size,
        default_split="test" if "test" in splits else "whole",
        tasks=local_tasks(size),
    )


def split_local(name: str) -> tuple[Path, str | None]:
    """Path and inner dataset of `local:PATH[:DATASET]`."""
    text = name.removeprefix(LOCAL)
    if not text:
        raise ConfigError(f"{LOCAL}PATH[:DATASET] needs a path, such as {LOCAL}volume.h5:raw")
    path, _, inside = text.rpartition(":")
    if path and not Path(text).exists():
        return Path(path), inside
    return Path(text), None
