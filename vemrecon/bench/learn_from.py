"""`LearnFrom`: a dataset that methods learn from in place of the one that is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vemrecon.data.catalogue import LOCAL
from vemrecon.degradations import check_scale
from vemrecon.errors import ConfigError


@dataclass(frozen=True)
class LearnFrom:
    """A dataset, one of its splits, and the scale at which its sections are seen.

    Attributes:
        dataset: Name, CARD.yaml or local:PATH.
        split: What is learned from; None for what the methods that are scored on the dataset learn from.
        scale: None for that of the task.
    """

    dataset: str
    split: str | None = None
    scale: float | None = None

    def __str__(self) -> str:
        split = f":{self.split}" if self.split else ""
        return f"{self.dataset}{split}{f'@{self.scale:g}' if self.scale else ''}"


def read_learn_from(word: Any) -> LearnFrom:
    """`DATASET[:SPLIT][@SCALE]`; files of one's own are whole, and their names may hold colons.

    >>> read_learn_from("fib25s:train@8")
    LearnFrom(dataset='fib25s', split='train', scale=8.0)
    >>> str(read_learn_from("local:a:b.tif"))
    'local:a:b.tif'

    Raises:
        ConfigError: If it names no dataset, or no scale.
    """
    if isinstance(word, LearnFrom):
        return word
    before, at, after = str(word).rpartition("@")
    name, scale = (before, check_scale(after)) if at else (after, None)
    dataset, colon, split = (name, "", "") if name.startswith(LOCAL) else name.partition(":")
    if not dataset or (colon and not split):
        raise ConfigError(
            f"--learn-from {word}: must read DATASET, DATASET:SPLIT, DATASET@SCALE or DATASET:SPLIT@SCALE"
        )
    return LearnFrom(dataset, split or None, scale)


def scale_of(asked: Sequence[LearnFrom]) -> float | None:
    """The one scale at which all of them are seen; None for that of the task.

    Raises:
        ConfigError: If there are several.
    """
    scales = {one.scale for one in asked}
    if len(scales) > 1:
        said = ", ".join("that of the task" if scale is None else f"{scale:g}" for scale in sorted(scales, key=str))
        raise ConfigError(f"--learn-from: one network learns at one scale, not at several ({said})")
    return next(iter(scales), None)
