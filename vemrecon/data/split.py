"""`Split`: a named region of a file, what it is for, and where methods that are scored on it may learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vemrecon.errors import ConfigError
from vemrecon.files import digest_of
from vemrecon.volume.region import Region, Triple, triple
from vemrecon.volume.voxels import VoxelSize


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
    """Whether the training split shares voxels with this one, as in papers that learn from the observed sections of the
    volume they score: such a split has the transductive mode only."""
    contaminated: bool = False
    """Whether a paper learned from the voxels that it scored here, which `inside` alone does not allow: runs when the
    split is named, and is never ranked."""
    group: tuple[str, ...] = ()
    """Names of the splits that this one stands for, each a task of its own."""
    paper: str = ""
    """Paper that used this split, for named alternatives."""
    chosen_here: bool = False
    """Whether the paper does not publish where it lies, so that the place is ours."""

    @property
    def digest(self) -> str:
        """Identity of the split; part of every run."""
        region = None if self.region is None else [list(self.region.start), list(self.region.stop)]
        return digest_of({"file": self.file, "region": region})[:12]


def split_from(name: str, facts: Mapping[str, Any]) -> Split:
    """The split of a YAML file; `region` is [[z0, z1], [y0, y1], [x0, x1]] or absent for the whole file.

    Raises:
        ConfigError: If it holds no named facts.
    """
    if not isinstance(facts, Mapping):
        hint = f"; the card's own '{name}' stands beside `splits:`, not in it" if name == "default_split" else ""
        raise ConfigError(f"split '{name}': must hold named facts such as file and region, not {facts!r}{hint}")
    region = facts.get("region")
    return Split(
        name,
        **{**facts, "region": Region.of(region) if region else None, "group": tuple(facts.get("group", ()))},
    )


def guard_voxels(voxel_size: VoxelSize | None, guard_nm: float) -> Triple:
    """A guard gap in voxels along z, y and x, rounded up; none where the voxel size is unknown.

    >>> guard_voxels(VoxelSize(45, 4.3, 4.3), 300)
    (7, 70, 70)
    """
    if voxel_size is None:
        return 0, 0, 0
    return triple([math.ceil(round(guard_nm / edge, 6)) for edge in voxel_size])  # 400 / 0.1 is a little too much


def require_apart(train: Split, test: Split, halo: Sequence[int] = (0, 0, 0)) -> None:
    """Refuse a training region that shares voxels with the scored one, or lies too near to it.

    Args:
        train: What is learned from.
        test: What is scored.
        halo: Guard gap in voxels (z, y, x); a gap of this length along any one axis is enough.

    Raises:
        ConfigError: If they overlap, are the same file without regions, or no gap between them is long enough.
    """
    if train.file != test.file:
        return
    if train.region is None or test.region is None or train.region.overlaps(test.region):
        raise ConfigError(
            f"split '{test.name}' overlaps the training split '{train.name}'; scores would be of what was learned: "
            f"use --mode transductive, or another split"
        )
    gaps = gaps_between(train.region, test.region)
    if not any(gap >= guard for gap, guard in zip(gaps, halo, strict=True)):
        raise ConfigError(
            f"split '{test.name}' is too near to the training split '{train.name}': gaps of {gaps} voxels (z, y, x), "
            f"where one must be at least {triple(halo)}; move one of the regions"
        )


def gaps_between(one: Region, other: Region) -> Triple:
    """Voxels between two regions along z, y and x; negative where they reach past each other.

    >>> gaps_between(Region((0, 0, 0), (4, 8, 8)), Region((6, 0, 0), (9, 8, 8)))
    (2, -8, -8)
    """
    edges = zip(one.start, one.stop, other.start, other.stop, strict=True)
    return triple([max(c - b, a - d) for a, b, c, d in edges])


def check_mode(split: Split, mode: str) -> None:
    """Refuse inductive learning for a split that contains what is learned from, unless it is known for that.

    Methods that do not learn need no check.

    Raises:
        ConfigError: If the split has the transductive mode only.
    """
    if split.inside and not split.contaminated and mode == "inductive":
        raise ConfigError(
            f"split '{split.name}' contains voxels of its training split '{split.train}', so methods that learn are "
            f"scored on it with --mode transductive only"
        )
