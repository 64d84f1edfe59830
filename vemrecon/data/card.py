"""`DatasetCard`: where a dataset's files come from, how they are recognised, and its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vemrecon.errors import ConfigError, unknown
from vemrecon.files import digest_of
from vemrecon.volume.region import Region
from vemrecon.volume.voxels import VoxelSize


@dataclass(frozen=True)
class DatasetFile:
    """One volume of a dataset: a file with its checksum, or the recipe of a generated volume."""

    path: str = ""
    """Relative to the data root."""
    dataset: str | None = None
    """Name inside an HDF5 file or zarr group."""
    sha256: str = ""
    url: str = ""
    labels: Mapping[str, str] | None = None
    """Label file of the volume: path, sha256 and, if public, url."""
    shape: tuple[int, int, int] | None = None
    generator: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Split:
    """A named region of one file of a dataset, and what it is for."""

    name: str
    file: str
    region: Region | None
    """None for the whole volume."""
    use: str = ""

    @property
    def digest(self) -> str:
        """Identity of the split; part of every run."""
        region = None if self.region is None else [list(self.region.start), list(self.region.stop)]
        return digest_of({"file": self.file, "region": region})[:12]


@dataclass(frozen=True)
class DatasetCard:
    """Facts about a dataset."""

    name: str
    title: str
    files: Mapping[str, DatasetFile]
    splits: Mapping[str, Split] = field(default_factory=dict)
    voxel_size: VoxelSize | None = None
    licence: str = ""
    citation: str = ""
    source: str = ""
    """How to get files that have no address."""
    default_split: str = "test"

    def split(self, name: str | None) -> Split:
        """A split by name, or the default one.

        Raises:
            ConfigError: If there is none of this name.
        """
        name = name or self.default_split
        if name not in self.splits:
            raise unknown(f"split of {self.name}", name, self.splits)
        return self.splits[name]


def card_from(name: str, facts: Mapping[str, Any], splits: Mapping[str, Any]) -> DatasetCard:
    """The card of a YAML file and the YAML file of its splits.

    Raises:
        ConfigError: If a field is unknown or missing.
    """
    try:
        size = facts.get("voxel_size")
        return DatasetCard(
            name=name,
            **{
                **facts,
                "voxel_size": VoxelSize(*size) if size else None,
                "files": {key: DatasetFile(**value) for key, value in facts["files"].items()},
                "splits": {key: _split(key, value) for key, value in splits.items()},
            },
        )
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(f"dataset card '{name}': {error}") from error


def _split(name: str, facts: Mapping[str, Any]) -> Split:
    start, stop = zip(*facts["region"], strict=True)
    return Split(name, facts["file"], Region(start, stop), facts.get("use", ""))


def require_apart(train: Split, test: Split) -> None:
    """Refuse a training region that shares voxels with the scored one.

    Raises:
        ConfigError: If they overlap, or are the same file without regions.
    """
    if train.file != test.file:
        return
    if train.region is None or test.region is None or train.region.overlaps(test.region):
        raise ConfigError(f"split '{test.name}' overlaps the training split; scores would be of what was learned")
