"""`Learning`: what methods may learn from when a split is scored, as the card of its dataset says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vemrecon import protocol
from vemrecon.bench.learn_from import LearnFrom, scale_of
from vemrecon.bench.scorable import usual_split
from vemrecon.bench.spec import CONTAMINATED, TRANSFER, WEIGHTS
from vemrecon.data import DatasetCard, Located, Split, require_apart
from vemrecon.data.split import check_mode, guard_voxels
from vemrecon.errors import ConfigError

if TYPE_CHECKING:
    from vemrecon.fit.learned import Learned


@dataclass(frozen=True)
class Lesson:
    """A region that methods learn from, and the one that the training is watched on."""

    card: DatasetCard
    train: Split
    val: Split | None = None


@dataclass(frozen=True)
class Learning:
    """Mode and splits of what is learned from."""

    mode: str
    """inductive, transductive, contaminated, transfer or weights."""
    lessons: tuple[Lesson, ...] = ()
    """None for the observed test volume itself."""
    kind: str = ""
    """Of the tasks of another dataset that is learned from."""
    scale: float | None = None
    """At which it is seen, where that is not the one of the task."""
    weights: Learned | None = None
    """What is used as it is, or gone on from."""

    @property
    def splits(self) -> Iterator[tuple[DatasetCard, Split]]:
        """The splits whose files are needed."""
        for lesson in self.lessons:
            yield from ((lesson.card, split) for split in (lesson.train, lesson.val) if split)

    def identity(self, sources: Sequence[Located]) -> dict[str, Any]:
        """What of it is part of a run's identity; `sources` are the volumes of the training splits."""
        parts = [
            {"split": lesson.train.name, "dataset_digest": source.digest, "split_digest": lesson.train.digest}
            for lesson, source in zip(self.lessons, sources, strict=True)
        ]
        facts: dict[str, Any] = {"mode": self.mode}
        if self.mode == TRANSFER:
            named = [{"dataset": one.card.name, **part} for one, part in zip(self.lessons, parts, strict=True)]
            facts |= {"kind": self.kind, "from": named}
        elif parts:
            facts |= parts[0]
        facts |= {"scale": self.scale} if self.scale else {}
        return facts if self.weights is None else facts | self._start(self.weights)

    def _start(self, weights: Learned) -> dict[str, Any]:
        facts: dict[str, Any] = {"weights": weights.digest, "source": weights.source}
        known = self.mode != WEIGHTS and weights.grid is not None
        return facts | ({"weights_scale": weights.grid.scale} if known and weights.grid else {})

    def watched(self, volumes: Sequence[Located]) -> list[dict[str, str]]:
        """What identifies where weights are chosen; `volumes` are those of the validation splits."""
        splits = [lesson.val for lesson in self.lessons if lesson.val]
        return [
            {"split": split.name, "dataset_digest": volume.digest, "split_digest": split.digest}
            for split, volume in zip(splits, volumes, strict=True)
        ]

    def choice_fault(self, card: DatasetCard, split: Split, kind: str) -> str:
        """Why weights cannot be chosen where trainings are watched when a split of a card is scored; empty if they can.

        What is learned from observed sections that are scored may be watched on others of them.
        """
        if kind == "native" or split.inside or self.mode == CONTAMINATED:
            return ""
        for lesson in self.lessons:
            if lesson.val and lesson.card.name == card.name:
                try:
                    require_apart(lesson.val, split, guard_voxels(card.voxel_size, protocol.protocol()["guard_nm"]))
                except ConfigError:
                    return (
                        f"split '{split.name}' overlaps the validation split '{lesson.val.name}', or lies too near to "
                        f"it: weights would be chosen by what is scored; use choice=last, or another split"
                    )
        return ""


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
    return Learning(mode, (Lesson(card, train, card.splits.get(split.val)),))


def learning_elsewhere(
    asked: Sequence[LearnFrom], card: DatasetCard, split: Split, card_of: Callable[[str], DatasetCard]
) -> Learning:
    """What is learned from where other datasets are named, when a split of a card is scored.

    Raises:
        ConfigError: If one has nothing to learn from, isotropic and anisotropic ones are mixed, or a region lies too
            near to what is scored.
    """
    lessons, kinds = list[Lesson](), dict[str, str]()
    for one in asked:
        other = card_of(one.dataset)
        kinds[other.name] = other.tasks[0]
        lessons += lessons_of(other, one)
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise ConfigError(f"--learn-from: isotropic and anisotropic datasets cannot be learned from together: {said}")
    for lesson in lessons:
        if lesson.card.name == card.name:
            require_apart(lesson.train, split, guard_voxels(card.voxel_size, protocol.protocol()["guard_nm"]))
    return Learning(TRANSFER, tuple(lessons), next(iter(kinds.values())), scale_of(asked))


def given(weights: Learned) -> Learning:
    """Nothing is learned: the weights are used as they are."""
    return Learning(WEIGHTS, scale=weights.grid.scale if weights.grid else None, weights=weights)


def lessons_of(card: DatasetCard, asked: LearnFrom) -> list[Lesson]:
    """The regions of a dataset that a request learns from.

    Raises:
        ConfigError: If there is no such split, or none to learn from.
    """
    scored = [split for split in card.splits.values() if not split.group]
    if asked.split is None:
        usual = card.members(usual_split(card, card.tasks[0]))
        names = list(dict.fromkeys(split.train for split in usual if split.train in card.splits))
        if not names:
            raise ConfigError(f"--learn-from {asked}: {card.name} has no training split; name one of its splits")
    else:
        names = [split.name for split in card.members(asked.split)]
    watched = {split.train: split.val for split in reversed(scored) if split.val in card.splits}
    return [Lesson(card, card.split(name), card.splits.get(watched.get(name, ""))) for name in names]


def check_removable(card: DatasetCard, kind: str, split: Split, learning: Learning | None) -> None:
    """Refuse to remove sections where nothing tells what they were, or methods would see them all the same.

    Raises:
        ConfigError: If the kind of task has no isotropic truth, or methods learn from other sections of what is scored.
    """
    if kind != "reference":
        raise ConfigError(
            f"--missing-sections: sections are removed where isotropic data are degraded along z; {card.name} is a "
            f"{kind} task"
        )
    inside = [one for _, one in learning.splits] if learning and learning.mode in (CONTAMINATED, "transductive") else []
    alike = all(one.file == split.file and _depth(card, one) == _depth(card, split) for one in inside)
    if learning and inside and (learning.mode == CONTAMINATED or not alike):
        raise ConfigError(
            f"--missing-sections: methods would learn from sections that are removed from split '{split.name}'; name "
            f"another one"
        )


def _depth(card: DatasetCard, split: Split) -> tuple[int, int] | None:
    """First section and end of a split; None where that is not known."""
    shape = card.files[split.file].shape
    if split.region:
        return split.region.start[0], split.region.stop[0]
    return (0, shape[0]) if shape else None


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
