"""`Split`: a named region of a file, what it is for, and where methods that are scored on it may learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vemrecon.errors import ConfigError
from vemrecon.files import digest_of
from vemrecon.volume.region import Region


@dataclass(frozen=True)
class Split:
    """A named region of one file of a dataset, or a group of such splits."""

    name: str
    file: str = ""
    region: Region | None = None
    """None for the whole volume."""
    use: str = ""
    train: str = "train"
    """Name of the split that methods learn from when this one is scored."""
    val: str = "val"
    """Name of the split that a training is watched on."""
    inside: bool = False
    """Whether the training split lies inside this one, as in papers that learn from the observed sections of the volume
    they score: such a split has the transductive mode only."""
    group: tuple[str, ...] = ()
    """Names of the splits that this one stands for, each a task of its own."""
    paper: str = ""
    """Paper that used this split, for named alternatives."""

    @property
    def digest(self) -> str:
        """Identity of the split; part of every run."""
        region = None if self.region is None else [list(self.region.start), list(self.region.stop)]
        return digest_of({"file": self.file, "region": region})[:12]


def split_from(name: str, facts: Mapping[str, Any]) -> Split:
    """The split of a YAML file; `region` is [[z0, z1], [y0, y1], [x0, x1]] or absent for the whole file."""
    region = facts.get("region")
    return Split(
        name,
        **{**facts, "region": Region.of(region) if region else None, "group": tuple(facts.get("group", ()))},
    )


def require_apart(train: Split, test: Split) -> None:
    """Refuse a training region that shares voxels with the scored one.

    Raises:
        ConfigError: If they overlap, or are the same file without regions.
    """
    if train.file != test.file:
        return
    if train.region is None or test.region is None or train.region.overlaps(test.region):
        raise ConfigError(f"split '{test.name}' overlaps the training split; scores would be of what was learned")
