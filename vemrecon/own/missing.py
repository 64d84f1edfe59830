"""Sections of a volume of one's own that are missing: not stored, or with nothing in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vemrecon.data.damage import Damage
from vemrecon.infer.inpainting import require_fillable
from vemrecon.volume import Reading, Volume, open_source


def reading_to_fill(reading: Reading) -> Reading:
    """How a file is read whose missing sections will be filled: its places stay."""
    return replace(reading, missing="fill") if reading.missing == "refuse" else reading


def sections_to_fill(path: Path, dataset: str | None, reading: Reading, volume: Volume, damage: Damage) -> list[int]:
    """Sections that are not stored, at least in part, or constant.

    Args:
        path: See `open_volume`.
        dataset: See `open_volume`.
        reading: See `open_volume`.
        volume: The file, opened.
        damage: What is wrong with its sections.

    Raises:
        ConfigError: If they are more than half of all.
    """
    stored, (first, count) = open_source(path, dataset, reading).stored, (volume.start[0], volume.shape[0])
    lacking = stored.lacking(volume.array.shape[0]) if stored and reading.missing != "fill" else ()
    inside = {z - first for z in lacking if first <= z < first + count}
    sections = sorted(inside | set(damage.constant))
    require_fillable(sections, count)
    return sections
