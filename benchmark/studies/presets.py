"""Presets `cpu` for trainings of ten minutes, chosen on validation regions alone.

    python benchmark/studies/presets.py [--methods lateral-cnn isovem ...] [--tissues fib25s hemibrains]
        [--data-root DIR] [--runs DIR] [--show]

Every candidate of `presets.yaml` learns for the same time on one thread (`--track`) from the training regions of two
tissues, and is scored on their validation regions, which no leaderboard scores: x8, kept sections. The gain over the
best kernel there decides, its mean over both tissues. Runs that are finished are never repeated, so that the study can
be interrupted, and tissues can be learned side by side; `--show` only prints what is known, as Markdown, which is kept
as presets.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.store import run_folders
from vemrecon.cli import main as vemrecon
from vemrecon.files import canonical_json
from vemrecon.kept import read_mark
from vemrecon.methods.condition import Situation
from vemrecon.methods.registry import choose_preset, method_entry, with_settings
from vemrecon.protocol import load_yaml
from vemrecon.volume import SectionGrid

GIVEN = Path(__file__).with_suffix(".yaml")
SCALE = 8.0
TASK = ("--scale", f"{SCALE:g}", "--degradation", "subsample", "--metrics", "psnr", "psnr_lowpass1", "--jobs", "1")
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """What a candidate has come to; values by tissue."""

    method: str
    settings: str
    gains: Mapping[str, float]
    batches: Mapping[str, int]
    parameters: float

    @property
    def mean(self) -> float:
        """Of the gains in dB; it is compared where all tissues are known."""
        return sum(self.gains.values()) / len(self.gains)


def words_of(method: str, settings: Settings) -> list[str]:
    """Settings as `bench` takes them."""
    return (
        ["--set", *(f"{method}.{name}={canonical_json(value)}" for name, value in settings.items())] if settings else []
    )


def psnr(result: RunResult) -> float | None:
    """Of the whole scored volume."""
    found = (one.value for one in result.scores if one.metric == "psnr" and one.whole and one.plane == "volume")
    return next(found, None)


def rows(runs: Path, method: str, candidates: list[Settings], tissues: list[str]) -> Iterator[Row]:
    """What is known of the candidates of a method."""
    results: dict[str, list[tuple[RunResult, int]]] = {}
    kernels: dict[str, float] = {}
    for tissue in tissues:
        for folder in run_folders(runs / tissue) if (runs / tissue).is_dir() else ():
            result = folder.result()
            if result is None or result.status != Status.DONE or (value := psnr(result)) is None:
                continue
            marks = (read_mark(path) for path in folder.path.glob("train/*/stage.json"))
            results.setdefault(tissue, []).append((result, sum(int(mark.get("batches", 0)) for mark in marks)))
            if result.card and result.card.kernel:
                kernels[tissue] = max(value, kernels.get(tissue, value))
    _, _, presets = method_entry(method).resolved()
    preset = choose_preset(method, "cpu", presets)[1].arguments(Situation.of_grid(SectionGrid.kept_every(SCALE)))
    for settings in candidates:
        wanted = canonical_json(with_settings(preset, settings))
        known = {
            tissue: one
            for tissue, found in results.items()
            for one in found
            if one[0].spec.method.entry == method and canonical_json(one[0].spec.method.arguments) == wanted
        }
        if known:
            label = ", ".join(f"{name}={value}" for name, value in settings.items())
            gains = {tissue: (psnr(one) or 0.0) - kernels[tissue] for tissue, (one, _) in known.items()}
            batches = {tissue: count for tissue, (_, count) in known.items()}
            costs = next(iter(known.values()))[0].costs
            yield Row(method, label or "as it stands", gains, batches, costs.parameters or 0.0)


def table(found: list[Row], tissues: list[str]) -> Iterator[str]:
    """The rows as Markdown, the best one of each method first."""
    heads = " | ".join(f"{one}: gain (dB) | batches" for one in tissues)
    yield f"| method | settings | {heads} | mean gain (dB) | parameters |"
    yield f"|---|---|{'---:|---:|' * len(tissues)}---:|---:|"
    for row in sorted(found, key=lambda one: (one.method, -one.mean)):
        cells = [f"{row.gains[one]:+.3f} | {row.batches[one]}" if one in row.gains else "not run | " for one in tissues]
        mean = f"{row.mean:+.3f}" if len(row.gains) == len(tissues) else ""
        yield f"| {row.method} | {row.settings} | {' | '.join(cells)} | {mean} | {row.parameters / 1e3:.0f} k |"


def main() -> int:
    """Run what is not finished, and print what is known."""
    given = load_yaml(GIVEN)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=list(given["candidates"]), default=list(given["candidates"]))
    parser.add_argument("--tissues", nargs="+", choices=list(given["tasks"]), default=list(given["tasks"]))
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--runs", type=Path, default=Path("runs/presets"))
    parser.add_argument("--show", action="store_true")
    asked = parser.parse_args()
    tissues = list(given["tasks"])
    root = ["--data-root", asked.data_root] if asked.data_root else []
    for method in () if asked.show else asked.methods:
        for settings in given["candidates"][method]:
            for tissue in asked.tissues:
                task = given["tasks"][tissue]
                words = ["--methods", method, "--preset", "cpu", "--track", f"minutes={given['minutes']}"]
                words += [*words_of(method, settings), "--runs", str(asked.runs / tissue), *root]
                vemrecon(["bench", *task, *TASK, *words])
    found = [row for method in asked.methods for row in rows(asked.runs, method, given["candidates"][method], tissues)]
    print("\n".join(table(found, tissues)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
