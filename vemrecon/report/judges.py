"""`Judge`: the segmenter that looked at a reconstruction, and what it scores on the truth and on the floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.files import read_json
from vemrecon.report.columns import count_text, seconds_text
from vemrecon.report.load import SCORE_FIELDS, number

CEILING, FLOOR = "truth", "bicubic"
"""References that are segmented once for all runs of a task: no method gets past one, each should beat the other."""
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Judge:
    """A trained segmenter as the runs that it judged have written it down."""

    weights: str
    """sha256."""
    facts: Mapping[str, Any]
    region: tuple[tuple[int, ...], tuple[int, ...]] | None
    """First voxel and one past the last, z-y-x, of what is segmented."""
    references: Mapping[str, Mapping[tuple[str, str], float]]
    """Scores of `CEILING` and `FLOOR`, by metric and variant."""

    @property
    def short(self) -> str:
        """Enough of the digest of its weights to tell it from others."""
        return self.weights[:12]

    def words(self) -> str:
        """What it is and how it was trained, on one line."""
        facts = self.facts
        voxels, parameters = number(facts.get("voxels")), number(facts.get("parameters"))
        learned = f"learned on {facts.get('dataset', 'unknown data')}"
        places = ", ".join(_place(part) for part in facts.get("learned_from", ()))
        learned += f" ({places or 'unknown regions'}; {count_text(voxels)} true voxels)" if voxels else ""
        batches, seconds, loss = (number(facts.get(name)) for name in ("batches", "seconds", "loss"))
        parts = [
            f"preset {facts.get('preset', 'unknown')}",
            learned,
            f"{batches:g} batches in {seconds_text(seconds)}" if batches and seconds is not None else "",
            f"last loss {loss:.3g}" if loss is not None else "",
            f"{count_text(parameters)} parameters" if parameters else "",
            f"weights {self.short}",
            _recipe(facts.get("recipe")),
        ]
        return "; ".join(part for part in parts if part)

    def place(self) -> str:
        """What is segmented, in words; empty if it is not known."""
        if self.region is None:
            return ""
        size = f" {TIMES} ".join(str(b - a) for a, b in zip(*self.region, strict=True))
        start = ", ".join(map(str, self.region[0]))
        return f"{size} voxels from z, y, x = {start}"


def _place(part: Any) -> str:
    """A labelled region of a file, in words."""
    try:
        (z0, y0, x0), (z1, y1, x1) = part["region"]
        return f"{part['file']} z {z0}-{z1}, y {y0}-{y1}, x {x0}-{x1}"
    except (TypeError, KeyError, ValueError):
        return "a region that is not recorded"


def _recipe(recipe: Any) -> str:
    """The entries of a recipe that say something."""
    if not isinstance(recipe, Mapping) or not recipe:
        return ""
    words = []
    for key, value in sorted(recipe.items()):
        name = str(key).replace("_", " ")
        if value is True:
            words.append(name)
        elif value and key != "version":
            words.append(f"{name} {'-'.join(map(str, value)) if isinstance(value, list) else value}")
    version = f" {recipe['version']}" if "version" in recipe else ""
    return f"recipe{version}: {', '.join(words)}"


def read_judges(path: Path) -> dict[str, Judge]:
    """The judges in a run's curves, by what they look for; none if the file holds nothing of the kind."""
    try:
        found: Any = read_json(path)["segmentation"]
        return {str(what): _judge(entry) for what, entry in found.items()}
    except (DataError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return {}  # the page already says when curves.json cannot be read


def _judge(entry: Any) -> Judge:
    facts, corners = dict(entry["segmenter"]), entry.get("region")
    region = None
    if corners:
        start, stop = (tuple(int(n) for n in corner) for corner in corners)
        region = (start, stop)
    references = {name: _scores(rows) for name, rows in entry["references"].items()}
    return Judge(str(facts["weights_sha256"]), facts, region, references)


def _scores(rows: Any) -> dict[tuple[str, str], float]:
    """Values of score rows of the whole region."""
    found = {}
    for row in rows:
        metric, variant, *rest = (row[field] for field in SCORE_FIELDS)
        value = number(row.get("value"))
        if value is not None and rest == ["volume", "all", "all"]:
            found[str(metric), str(variant)] = float(value)
    return found
