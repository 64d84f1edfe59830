"""`SegmenterRecord`: the segmenter that looked at a reconstruction, as its run has written it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vemrecon.bench.schema1 import scores as upgraded_scores
from vemrecon.errors import DataError
from vemrecon.files import finite, from_plain
from vemrecon.metrics.score import Reference, Score
from vemrecon.report.columns import count_text, seconds_text

CEILING, FLOOR = "truth", "bicubic"
"""References that are segmented once for all runs of a task: no method gets past one, each should beat the other."""
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class SegmenterRecord:
    """A trained segmenter, and what it scores on the truth and on the floor."""

    weights: str
    """sha256."""
    code: str
    """What else tells it from others: of one of another package its version and the sha256 of its code."""
    facts: Mapping[str, Any]
    region: tuple[tuple[int, ...], tuple[int, ...]] | None
    """First voxel and one past the last, z-y-x, of what is segmented."""
    references: Mapping[str, Mapping[tuple[str, Reference], float]]
    """Scores of `CEILING` and `FLOOR`, by metric and what they compare with."""

    @property
    def key(self) -> tuple[str, str]:
        """The same for two only if they find the same."""
        return self.weights, self.code

    @property
    def short(self) -> str:
        """Enough of the digest of its weights to tell it from others."""
        return self.weights[:12]

    def words(self) -> str:
        """What it is and how it was trained, on one line."""
        facts = self.facts
        if "class_path" in facts:  # of another package
            learned = facts.get("learned_from") or "what it does not say"
            parts = [str(facts["class_path"]), str(facts.get("source", "")), f"learned on {learned}"]
            return "; ".join(part for part in [*parts, f"weights {self.short}"] if part)
        voxels, parameters = finite(facts.get("voxels")), finite(facts.get("parameters"))
        learned = f"learned on {facts.get('dataset', 'unknown data')}"
        places = ", ".join(_place(part) for part in facts.get("learned_from", ()))
        learned += f" ({places or 'unknown regions'}; {count_text(voxels)} true voxels)" if voxels else ""
        batches, seconds, loss = (finite(facts.get(name)) for name in ("batches", "seconds", "loss"))
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


def segmenter_records(curves: Mapping[str, Any]) -> dict[str, SegmenterRecord]:
    """The segmenters in a run's curves, by what they look for; none if there is nothing of the kind."""
    try:
        return {str(what): _record(entry) for what, entry in curves["segmentation"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, DataError):
        return {}


def _record(entry: Any) -> SegmenterRecord:
    facts, corners = dict(entry["segmenter"]), entry.get("region")
    region = None
    if corners:
        start, stop = (tuple(int(n) for n in corner) for corner in corners)
        region = (start, stop)
    references = {name: _values(rows) for name, rows in entry["references"].items()}
    code = " ".join(str(facts[name]) for name in ("version", "code_sha256") if name in facts)
    return SegmenterRecord(str(facts["weights_sha256"]), code, facts, region, references)


def _values(rows: Any) -> dict[tuple[str, Reference], float]:
    """Values of scores of the whole region; rows of schema 1 said in the variant what they compare with."""
    old = any("reference" not in row for row in rows)
    scores = from_plain(list[Score], upgraded_scores(rows, "z") if old else rows)
    return {(s.metric, s.reference): s.value for s in scores if s.value is not None and s.whole}
