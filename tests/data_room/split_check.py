"""Whether the splits of a dataset card keep what they promise."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from vemrecon.data.card import DatasetCard
from vemrecon.data.split import Split, guard_voxels, require_apart
from vemrecon.errors import ConfigError
from vemrecon.volume.region import Region

LEARNING = ("train", "val")  # names that a split may have in mind without saying so; a card may lack them


def split_faults(card: DatasetCard, guard_nm: float) -> list[str]:
    """What is wrong with the splits of a card, one line each; empty for a good card.

    Files and named splits must exist, regions must lie inside their files, and what is learned from, watched and scored
    must be apart, also where two files are boxes of one remote volume. Splits that are `inside` are let off the last.

    Args:
        card: The dataset.
        guard_nm: Length that one gap between two regions must have.
    """
    faults = [fault for split in card.splits.values() for fault in _misplaced(card, split)]
    if faults:
        return faults
    halo = guard_voxels(card.voxel_size, guard_nm)
    for split in scored_splits(card):
        if split.inside:
            continue
        trio = [_in_frame(card, card.splits[name]) for name in (split.train, split.val) if name in card.splits]
        for one, other in combinations([*trio, _in_frame(card, split)], 2):
            try:
                require_apart(one, other, halo)
            except ConfigError as error:
                faults.append(str(error))
    return faults


def scored_splits(card: DatasetCard) -> list[Split]:
    """The splits of a card that no other split learns from or is watched on; groups are left out."""
    singles = [split for split in card.splits.values() if not split.group]
    tests = [split for split in singles if split.name not in LEARNING]
    helpers = {name for split in tests for name in (split.train, split.val)}
    return [split for split in tests if split.name not in helpers]


def _misplaced(card: DatasetCard, split: Split) -> list[str]:
    named = split.group or [name for name in (split.train, split.val) if name not in LEARNING]
    missing = [name for name in named if name not in card.splits]
    faults = [f"split '{split.name}': names the split '{name}', of which there is none" for name in missing]
    if split.group:
        return faults
    if split.file not in card.files:
        return [*faults, f"split '{split.name}': no file '{split.file}'"]
    shape = card.files[split.file].shape
    if shape and split.region and not Region.whole(shape).contains(split.region):
        faults.append(f"split '{split.name}': {split.region} lies outside the shape {tuple(shape)} of '{split.file}'")
    return faults


def _in_frame(card: DatasetCard, split: Split) -> Split:
    """A split in the voxels of the remote volume that its file is a box of."""
    box = card.files[split.file].box
    if box is None:
        return split
    region = box.region if split.region is None else split.region.shifted(box.region.start)
    return replace(split, file=f"{box.url} {box.dataset} {box.mip}", region=region)
