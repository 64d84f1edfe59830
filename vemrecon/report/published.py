"""`PublishedScore`: a number that a paper printed, read from `leaderboards/published.csv`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vemrecon.errors import ConfigError, DataError, unknown
from vemrecon.metrics.column import Better, Column, plane_order
from vemrecon.protocol import benchmark_folder, load_yaml

FIELDS = (
    "paper", "table", "dataset", "method", "supervision", "scale", "degradation", "plane", "metric", "value", "std",
    "note",
)  # fmt: skip
MEASURES = {
    "PSNR": "psnr", "SSIM": "ssim", "FSC_resolution_nm": "fsc", "LPIPS": "lpips", "FSIM": "fsim", "IoU": "iou",
    "Dice": "dice", "ARE": "are", "VOI": "voi",
}  # fmt: skip
"""Our name of every measure of quality, in the order of columns; what is in no column (costs) is missing here."""

UNITS = {"psnr": "dB", "fsc": "nm"}
LOWER = {"fsc", "lpips", "are", "voi"}
"""Measures of which less is better."""
PART = re.compile(r"Neuron_\d+")


@dataclass(frozen=True)
class PublishedScore:
    """One row of the file; numbers as text are as printed, with their digits."""

    paper: str
    table: str
    """Table, figure or section of the paper."""
    dataset: str
    """Name that papers use; `mean(...)` or `all` where a number belongs to several."""
    method: str
    supervision: str
    """self, supervised, none or test-time (optimised for each volume)."""
    scale: float | None
    degradation: str
    """average, subsample, realistic (worded as blur, downsampling, noise), none or unknown."""
    plane: str
    metric: str
    value: float
    text: str
    std: str
    note: str

    @property
    def measure(self) -> str:
        """Our name of the metric, or an empty text."""
        return MEASURES.get(self.metric, "")

    @property
    def key(self) -> str:
        """Key of its column, such as psnr/xy."""
        return f"{self.measure}/{self.plane.lower()}"

    @property
    def part(self) -> str:
        """The part of the volume that alone was scored, where a table has several."""
        found = PART.search(self.note)
        return found.group() if found else ""


def published_file(name: str = "published.csv") -> Path:
    """Where the numbers are: in `leaderboards/` of a checkout, beside the protocol in a wheel."""
    inside = benchmark_folder() / name
    return inside if inside.is_file() else benchmark_folder().parent / "leaderboards" / name


@cache
def published_facts() -> dict[str, Any]:
    """What is known of the papers, and of what they say about their numbers."""
    return load_yaml(published_file("published.yaml"))


def our_datasets(name: str) -> tuple[str, ...]:
    """Our datasets that hold the same tissue, by the name that papers use."""
    return tuple(published_facts()["datasets"].get(name, {}).get("ours", ()))


def read_published(path: Path | None = None) -> tuple[PublishedScore, ...]:
    """All published numbers, in the order of the file.

    Args:
        path: Another file with the same columns; ours if None.

    Raises:
        DataError: If the file is missing, has other columns, or holds something else where a number belongs.
    """
    path = path or published_file()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != FIELDS:
                raise DataError(f"{path.name}: its columns must be {', '.join(FIELDS)}")
            return tuple(_score(row, f"{path.name}, line {reader.line_num}") for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path.name}: published numbers cannot be read ({reason})") from error


def _score(row: dict[str, str], place: str) -> PublishedScore:
    if len(row) != len(FIELDS) or None in row.values():
        raise DataError(f"{place}: must have {len(FIELDS)} fields")
    try:
        numbers = {"value": float(row["value"]), "scale": float(row["scale"]) if row["scale"] else None}
        float(row["std"] or 0)
    except ValueError as error:
        raise DataError(f"{place}: value, std and scale must be numbers ({error})") from error
    texts = {name: row[name] for name in FIELDS if name not in numbers}
    return PublishedScore(**texts, **numbers, text=row["value"])  # type: ignore[arg-type]  # names are checked above


def published_column(key: str) -> Column:
    """The column of published numbers with a key such as psnr/xy."""
    measure, plane = key.split("/")
    label = {ours: theirs.partition("_")[0] for theirs, ours in MEASURES.items()}[measure]
    better = Better.LOW if measure in LOWER else Better.HIGH
    return Column(measure, plane, label, plane, better, unit=UNITS.get(measure, ""))


def column_order(key: str) -> tuple[int, tuple[int, str]]:
    """Sort key of columns: measure, then plane."""
    measure, plane = key.split("/")
    return list(MEASURES.values()).index(measure), plane_order(plane)


def matching(
    scores: Iterable[PublishedScore],
    dataset: str | None = None,
    scale: str | None = None,
    metric: str | None = None,
    method: str | None = None,
) -> list[PublishedScore]:
    """The numbers that a reader asks for; names in any case, datasets by our names or theirs.

    A method brings its variants: `emgauss` stands for the rows of its ablation too.

    Raises:
        ConfigError: If nothing published has such a name, or the scale is not a number.
    """
    found = list(scores)
    datasets = {name: {name.lower(), *our_datasets(name)} for name in {s.dataset for s in found}}
    if dataset:
        known = {word for words in datasets.values() for word in words}
        _require("dataset with published numbers", dataset, known)
    if metric:
        _require("published metric", metric, {s.metric for s in found} | set(MEASURES.values()))
    if method:
        _require("published method", method, {s.method for s in found})
    return [
        s
        for s in found
        if (not dataset or dataset.lower() in datasets[s.dataset])
        and (not scale or s.scale == _number(scale))
        and (not metric or metric.lower() in (s.metric.lower(), s.measure))
        and (not method or f"{s.method.lower()} ".startswith(f"{method.lower()} "))
    ]


def _require(kind: str, name: str, known: Iterable[str]) -> None:
    words = {word.lower() for word in known}
    if name.lower() not in words:
        raise unknown(kind, name.lower(), words)


def _number(scale: str) -> float:
    try:
        return float(scale)
    except ValueError as error:
        raise ConfigError(f"scale {scale!r}: must be a number, such as 8") from error
