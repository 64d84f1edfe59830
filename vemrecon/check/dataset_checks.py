"""What every card of a dataset promises, as questions to one of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from vemrecon import protocol
from vemrecon.check.findings import Check, FailedError, Found, Named, noted, passed
from vemrecon.data import DatasetCard, Locator, dataset_card, dataset_names, plugin_datasets, require_apart, task_volume
from vemrecon.data.card import card_from
from vemrecon.data.split import guard_voxels
from vemrecon.errors import ConfigError
from vemrecon.plugins import class_path_of, load

UNKNOWN = ("", "none", "unknown")


class Subject(Named):
    """A dataset under check."""

    @cached_property
    def card(self) -> DatasetCard:
        """Its card, by name, by the path of a YAML file or by where a package has the path."""
        if self.name in {*dataset_names(), *plugin_datasets()} or self.name.endswith((".yaml", ".yml")):
            return dataset_card(self.name)
        path = load(f"dataset '{self.name}'", class_path_of(self.name))
        if not isinstance(path, Path):
            raise FailedError(f"{self.name} must be the Path of a card")
        facts = protocol.load_yaml(path)
        return card_from(path.parent.name.replace("_", "-"), facts, facts.pop("splits", {}))

    @cached_property
    def locator(self) -> Locator:
        """Finds files that are here, and downloads none."""
        return Locator(self.folder / "scratch", Path(self.data_root) if self.data_root else None, fetch=False)


def loading(subject: Subject) -> Found:
    """Read the card."""
    card = subject.card
    return passed(f"{len(card.files)} files, {len(card.splits)} splits")


def stated(subject: Subject) -> Found:
    """It says what users and readers need."""
    card = subject.card
    if not card.title.strip():
        raise FailedError("the card has no title")
    if card.voxel_size is None:
        raise FailedError("the card has no voxel_size (nm along z, y and x): scales and splits follow from it")
    empty = [name for name in ("licence", "citation") if getattr(card, name).strip().lower() in UNKNOWN]
    empty += [] if any(file.sha256 for file in card.files.values()) else ["sha256 of its files"]
    return noted(f"not stated: {', '.join(empty)}") if empty else passed("licence, citation, voxel size")


def files(subject: Subject) -> Found:
    """Files that are here are those that the card means; others say how to get them."""
    card, here = subject.card, 0
    for key, file in card.files.items():
        located = subject.locator.volume(card, key)
        if not located.path.exists():
            if not (file.addresses or card.source or file.generator):
                raise FailedError(
                    f"{key}: {located.path} is not here, and neither `url` nor `source` says how to get it"
                )
            continue
        here += 1
        volume = located.open()
        if file.shape and tuple(volume.shape) != tuple(file.shape):
            raise FailedError(f"{key}: shape {tuple(volume.shape)}, where the card says {tuple(file.shape)}")
        if card.dtype and str(volume.dtype) != card.dtype:
            raise FailedError(f"{key}: {volume.dtype}, where the card says {card.dtype}")
    if not here:
        return noted(f"none of its {len(card.files)} files is here: `vemrecon fetch`, or --data-root")
    return passed(f"{here} of {len(card.files)} files are here, and as the card says")


def splits(subject: Subject) -> Found:
    """What is learned from is apart from what is scored, and regions lie within their files."""
    card, said = subject.card, []
    guard = guard_voxels(card.voxel_size, float(protocol.protocol()["guard_nm"]))
    if card.default_split not in card.splits:
        raise FailedError(f"default_split '{card.default_split}' is none of {', '.join(card.splits) or 'no splits'}")
    learned = {split.train for split in card.splits.values()}
    learned |= {name for name, split in card.splits.items() if split.use in ("training", "model choice")}
    for name, split in card.splits.items():
        shape = card.files[split.file].shape if split.file in card.files else None
        if split.region is not None and shape and any(b > n for b, n in zip(split.region.stop, shape, strict=True)):
            raise FailedError(f"split '{name}' reaches beyond its file of {tuple(shape)} voxels")
        if split.train not in card.splits or name in learned or split.inside:
            continue
        for train in card.members(split.train):
            try:
                require_apart(train, split, guard)
            except ConfigError as error:
                raise FailedError(str(error)) from error
        said.append(f"{name} from {split.train}")
    for name in ("train", card.default_split):
        known = name in card.splits and card.splits[name].file in card.files
        located = subject.locator.volume(card, card.splits[name].file) if known else None
        if located is not None and located.path.exists():
            task_volume(located, card.splits[name])  # the region can be cut out
    return passed(f"apart: {', '.join(said)}") if said else noted("no split says what methods learn from")


CHECKS: tuple[Check[Subject], ...] = (
    Check("load", loading, needed=True),
    Check("card", stated),
    Check("files", files),
    Check("splits", splits),
)
