"""The grey range of a file of a dataset: that of its card, or what the user says where nobody else does."""

from __future__ import annotations

import numpy as np

from vemrecon.data.card import DatasetCard
from vemrecon.errors import ConfigError
from vemrecon.volume import RangeRule, Volume
from vemrecon.volume.grey_range import GreyRange
from vemrecon.volume.quantise import intensity_range_of
from vemrecon.volume.volume import Span

Asked = Span | RangeRule | None
"""What `--intensity-range` says."""


def stated_range(card: DatasetCard, key: str, volume: Volume | None, asked: Asked) -> GreyRange | None:
    """The range that somebody has stated for a file of a dataset; None where that of the file or its type holds.

    Args:
        card: The dataset.
        key: Which of its files.
        volume: The file as it says itself; None where it is not on this machine.
        asked: What the user says; it fills in what neither the card nor the file nor a type of 8 bits says.

    Raises:
        ConfigError: If the user contradicts one of these.
    """
    known = _known(card, key, volume)
    if asked is None or (volume is None and isinstance(asked, RangeRule)):
        return known if known and known.stated_by == "card" else None
    found = asked.find(volume) if isinstance(asked, RangeRule) and volume is not None else asked
    assert isinstance(found, tuple)
    if known is None:
        return GreyRange(*found, "user")
    if found != known.span:
        raise ConfigError(
            f"--intensity-range {found[0]:g} {found[1]:g}: {card.name} {key} has {known}; leave the option out, or "
            f"name another file as local:PATH"
        )
    return known if known.stated_by == "card" else None


def default_range(card: DatasetCard, volume: Volume | None) -> Span | None:
    """What a file means where nobody states anything; None where its type is not known."""
    if volume is not None:
        return volume.span
    return intensity_range_of(np.dtype(card.dtype)) if card.dtype else None


def _known(card: DatasetCard, key: str, volume: Volume | None) -> GreyRange | None:
    if span := card.range_of(key):
        return GreyRange(*span, "card")
    if volume is not None and (volume.stated or volume.dtype == np.uint8):
        return GreyRange.of(volume)
    if volume is None and (card.dtype == "uint8" or card.files[key].generator is not None):
        return GreyRange(0.0, 255.0, "type")
    return None
