"""`Made`: what a volume that we write says about itself, and how it is found again in a file of any format."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.files import sha256_of
from vemrecon.version import __version__
from vemrecon.volume.grid import SectionGrid
from vemrecon.volume.quantise import intensity_range_of
from vemrecon.volume.volume import Span, Volume

KEY = "vemrecon"
"""Under which these facts are kept."""
WHOLE_BYTES = 256 << 20
END_BYTES = 64 << 10
ENDS_OF = 1024  # files of a folder


@dataclass(frozen=True)
class Made:
    """How a volume was made, beside what it is.

    Attributes:
        how: Plain values for JSON: command, method, scale, source.
    """

    how: Mapping[str, Any] = field(default_factory=dict)

    def facts(self, volume: Volume, dtype: np.dtype[Any], span: Span | None) -> dict[str, Any]:
        """All that is kept under `KEY`: grid of the sections, grey range, and how the volume was made."""
        low, high = span or intensity_range_of(dtype)
        facts: dict[str, Any] = {"version": __version__, "dtype": dtype.name, "intensity_range": [low, high]}
        facts |= {"grid": volume.grid.as_dict()} if volume.grid else {}
        return facts | ({"made": dict(self.how)} if self.how else {})

    def text(self, volume: Volume, dtype: np.dtype[Any], span: Span | None) -> str:
        """The facts as JSON in ASCII, for formats that keep text alone."""
        return json.dumps({KEY: self.facts(volume, dtype, span)}, allow_nan=False)

    def label(self) -> str:
        """In one line, for people."""
        return made_text({"version": __version__, **self.how})


def made_text(made: Mapping[str, Any]) -> str:
    """How a volume was made in one line, for people.

    >>> made_text({"version": "0.1", "command": "degrade", "scale": 4, "source": {"name": "v.tif"}})
    'vemrecon 0.1 degrade scale 4 of v.tif'
    """
    source, scale = made.get("source"), made.get("scale")
    words = ["vemrecon", made.get("version"), made.get("command"), made.get("method") or made.get("degradation")]
    words += [f"scale {scale:g}"] if isinstance(scale, int | float) else []
    words += [f"by way of {way:g}"] if isinstance(way := made.get("resampled_from_scale"), int | float) else []
    words += [f"of {source['name']}"] if isinstance(source, Mapping) and "name" in source else []
    return " ".join(str(word) for word in words if word)


@dataclass(frozen=True)
class Recalled:
    """What a file that we have written says beside its voxels; nothing of other files."""

    grid: SectionGrid | None = None
    intensity_range: Span | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    """How, and by which version."""


def recall(facts: Any, dtype: np.dtype[Any]) -> Recalled:
    """Grid, grey range and making among facts of `Made.facts`, or in a text of `Made.text`.

    The range of a type of 16 bits is one that somebody has chosen; that of others says no more than the type. One of
    another type than the voxels have is that of a file that was converted since.
    """
    if isinstance(facts, str | bytes):
        try:
            facts = json.loads(facts)[KEY]
        except (ValueError, KeyError, TypeError):
            return Recalled()
    if not isinstance(facts, Mapping):
        return Recalled()
    grid, span = facts.get("grid"), _span(facts.get("intensity_range"))
    whole = span == intensity_range_of(dtype) and dtype.itemsize != 2
    if whole or facts.get("dtype") != np.dtype(dtype).name:
        span = None
    how = facts.get("made")
    made = {"version": str(facts.get("version", "")), **how} if isinstance(how, Mapping) else {}
    return Recalled(SectionGrid.from_dict(grid) if isinstance(grid, Mapping) else None, span, made)


def _span(value: Any) -> Span | None:
    numbers = value if isinstance(value, list | tuple) else []
    if len(numbers) != 2 or not all(isinstance(n, int | float) and np.isfinite(n) for n in numbers):
        return None
    return (float(numbers[0]), float(numbers[1])) if numbers[0] < numbers[1] else None


def source_of(path: Path, dataset: str | None = None) -> dict[str, Any]:
    """Name and digest of the file or folder that a volume is made from.

    Up to 256 MiB it is the sha256 of all bytes (of a folder also of relative names). Of more it is that of names,
    sizes, and the first and last 64 KiB of up to 1024 files: it tells two volumes apart as quickly for a terabyte.
    """
    facts: dict[str, Any] = {"name": path.resolve().name} | ({"dataset": dataset} if dataset else {})
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    total = sum(file.stat().st_size for file in files)
    if total <= WHOLE_BYTES:
        return facts | {"bytes": total, "sha256": sha256_of(path)}
    digest = hashlib.sha256()
    for number, file in enumerate(files):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        for part in _ends(file) if number < ENDS_OF else ():
            digest.update(part)
    return facts | {"bytes": total, "sha256_of_ends": digest.hexdigest()}


def _ends(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        yield stream.read(END_BYTES)
        if file.stat().st_size > END_BYTES:
            stream.seek(-min(END_BYTES, file.stat().st_size - END_BYTES), os.SEEK_END)
            yield stream.read(END_BYTES)
