"""`Learning`: what methods may learn from when a split is scored, as the card of its dataset says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vemrecon import protocol
from vemrecon.bench.spec import CONTAMINATED
from vemrecon.data import DatasetCard, Located, Split, require_apart
from vemrecon.data.split import check_mode, guard_voxels
from vemrecon.errors import ConfigError


@dataclass(frozen=True)
class Learning:
    """Mode and splits of what is learned from."""

    mode: str
    """inductive, transductive or contaminated."""
    train: Split | None = None
    """None for the observed test volume itself."""
    val: Split | None = None

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits whose files are needed."""
        return tuple(split for split in (self.train, self.val) if split)

    def identity(self, source: Located | None) -> dict[str, Any]:
        """What of it is part of a run's identity; `source` is the volume of the training split."""
        if self.train is None or source is None:
            return {"mode": self.mode}
        return {
            "mode": self.mode,
            "split": self.train.name,
            "dataset_digest": source.digest,
            "split_digest": self.train.digest,
        }


def learning_of(card: DatasetCard, split: Split, kind: str, mode: str) -> Learning | None:
    """What is learned from when a split is scored by a kind of task; None where the dataset has no training split.

    Raises:
        ConfigError: If the mode would learn from what is scored.
    """
    if mode == "transductive" and kind == "lateral":
        raise ConfigError(
            "a lateral task scores the axis that methods learn from, so it has no transductive mode; leave --mode out"
        )
    native = kind == "native"  # has no truth that could be learned by heart, so its regions may overlap
    if kind == "lateral" and split.inside and not split.contaminated:
        raise ConfigError(
            f"split '{split.name}' contains voxels of its training split '{split.train}', and a lateral task scores "
            f"the axis that methods learn from: use --task native, another split, or training-free methods"
        )
    if not native:
        check_mode(split, mode)
    if mode == "transductive" and (native or not split.inside):
        return Learning(mode)
    if split.train not in card.splits:
        return None
    train = card.splits[split.train]
    if native and split.inside:
        mode = "transductive"
    elif split.contaminated and mode == "inductive":
        mode = CONTAMINATED
    elif not native and not split.inside:
        require_apart(train, split, guard_voxels(card.voxel_size, protocol.protocol()["guard_nm"]))
    return Learning(mode, train, card.splits.get(split.val))


def check_regime(name: str, regime: str, mode: str, dataset: str, kind: str, learning: Learning | None) -> None:
    """Refuse what could only be done by learning from what is scored.

    Raises:
        ConfigError: If the method has no transductive mode, or the dataset nothing to learn from.
    """
    if mode == "transductive" and regime != "self":
        raise ConfigError(f"method '{name}' learns from isotropic truth, so it has no transductive mode")
    if learning is None:
        advice = (
            "its sections are too small to keep one apart"
            if kind == "lateral"
            else "add --mode transductive to let it learn from the observed sections of the test volume"
        )
        raise ConfigError(
            f"method '{name}' learns, but {dataset} has no training split; {advice}, or use training-free methods"
        )
