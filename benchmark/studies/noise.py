"""What scores say of noise: what a perfect reconstruction scores against a noisy truth, and which orders noise changes.

    python benchmark/studies/noise.py [--data-root DIR] [--size 96] [--out FOLDER]

The truth of a benchmark is a recording, with noise that nobody can predict where no section was recorded. Here noise of
a known standard deviation is added to volumes that stand for the tissue itself: phantoms without noise, and, where
their files are at hand, training regions of FIB-25 and Hemibrain. Kernels and a small network reconstruct what is left
of the noisy volume. They are scored against the noisy volume, as a benchmark does, and against the one without the
noise, which a benchmark never has. Only regions to learn from are looked at.

Prints tables in Markdown; `--out` also writes `noise.csv` with every score and `noise.md`. Takes some minutes.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vemrecon
from vemrecon.bench.references import smoothed
from vemrecon.bench.scoring import scored_ranges
from vemrecon.data import Locator, dataset_card
from vemrecon.data.phantom import make_phantom
from vemrecon.data.volume_at import VolumeAt
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import VemreconError
from vemrecon.methods.interpolation import Kernel, interpolation_matrix
from vemrecon.metrics.evaluate import evaluate
from vemrecon.seeding import derive
from vemrecon.volume import Region, Volume, VoxelSize

Grey = NDArray[np.uint8]
NOISE = (0, 5, 10, 20)
"""Standard deviations of what is added, in grey levels."""
SCALE = 8
DEGRADATIONS = ("average", "subsample")
KERNELS: dict[str, Kernel] = {
    "nearest": "nearest",
    "linear": "linear",
    "bicubic": "cubic_a-0.75",
    "bspline3": "bspline3",
    "lanczos3": "lanczos3",
}
LEARNED = "lateral-cnn"
SCORES = {
    "psnr": "volume",
    "psnr_lowpass1": "volume",
    "psnr_lowpass2": "volume",
    "ssim": "mean",
    "ssim_lowpass1": "mean",
    "ssim_lowpass2": "mean",
}
"""Metrics by the plane that tables show first."""
REAL = (("fib25s", "train"), ("hemibrains", "a-train"), ("hemibrains", "b-train"))
"""Datasets and splits: what methods may learn from, and nothing that is scored."""
PERFECT, OTHER_NOISE, SMOOTHED = "perfect, without noise", "perfect, with noise of its own", "noisy truth, smoothed"


@dataclass(frozen=True)
class Line:
    """A score of one reconstruction."""

    tissue: str
    degradation: str
    noise: int
    method: str
    against: str
    """noisy: what a benchmark compares with; clean: the volume before noise was added."""
    score: str
    value: float


def tissues(size: int, data_root: Path | None) -> Iterator[tuple[str, Grey]]:
    """Volumes that stand for tissue without noise, at most `size` voxels a side."""
    for seed in (0, 1):
        yield f"phantom {seed}", make_phantom((size,) * 3, seed, noise=False).grey
    with tempfile.TemporaryDirectory() as scratch:
        locator = Locator(Path(scratch), data_root, fetch=False)
        for name, part in REAL:
            try:
                card = dataset_card(name)
                split = card.splits[part]
                volume = VolumeAt.of(locator.volume(card, split.file), split).open()
                whole = [min(n // SCALE * SCALE, size) for n in volume.shape]
                yield f"{name} {part}", np.ascontiguousarray(volume.read_raw(Region.whole(whole)))
            except (VemreconError, OSError) as error:
                print(f"{name}: left out: {str(error).splitlines()[0]}", file=sys.stderr)


def noisy(clean: Grey, deviation: float, *name: str) -> Grey:
    """The volume with white noise, in 8 bits."""
    noise = derive(0, "noise study", *name).normal(0, deviation, clean.shape) if deviation else 0.0
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def as_volume(grey: NDArray[np.generic], name: str = "volume") -> Volume:
    """With voxels of 8 nm."""
    return Volume(grey, VoxelSize(8, 8, 8), name)


def scored(truth: Grey, made: Volume, degradation: str) -> dict[str, float]:
    """The first score of each metric that is compared, as a benchmark takes it."""
    reference = as_volume(truth)
    kind = make_degradation(degradation, SCALE)
    ranges, kept = scored_ranges(reference, kind, kind.sections(truth.shape[0]))
    found = evaluate(reference, made, metrics=tuple(SCORES), ranges={"all": ranges["all"]}, kept_sections=kept).scores
    names = {("psnr", ""): "psnr", ("ssim", "gaussian11"): "ssim"}
    values = {}
    for score in found:
        name = names.get((score.metric, score.variant), f"{score.metric}{score.variant.removeprefix('sigma')}")
        if score.plane == SCORES[name]:
            values[name] = float("inf") if score.value is None else score.value
    return values


def reconstructions(seen: Grey, degradation: str, batches: int) -> Iterator[tuple[str, Volume]]:
    """What kernels and, if it may learn, the network make of a volume's sections."""
    kind = make_degradation(degradation, SCALE)
    observed = degrade(as_volume(seen), kind)
    sections = observed.read(observed.whole)
    for name, kernel in KERNELS.items():
        weights = interpolation_matrix(kernel, observed.shape[0], kind.grid)
        made = np.tensordot(weights, sections, axes=1)[: len(seen)]
        yield name, as_volume(np.clip(made, 0, 1).astype(np.float32), name)
    if batches:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # noisy sections are told of; that is what they are for here
            grey = vemrecon.reconstruct(
                observed, method=LEARNED, scale=SCALE, train="smoke", settings={"budget": batches}, progress=False
            )
        yield LEARNED, as_volume(np.asarray(grey)[: len(seen)], LEARNED)


def ceilings(tissue: str, clean: Grey, deviation: int) -> Iterator[Line]:
    """What reconstructions score that know the tissue: against the noisy truth, all sections compared."""
    truth = noisy(clean, deviation, tissue, "truth")
    made = {
        PERFECT: as_volume(clean),
        OTHER_NOISE: as_volume(noisy(clean, deviation, tissue, "other")),
        SMOOTHED: smoothed(as_volume(truth), "reference"),
    }
    for method, volume in made.items():
        for score, value in scored(truth, volume, "average").items():
            yield Line(tissue, "none", deviation, method, "noisy", score, value)


def study(tissue: str, clean: Grey, deviation: int, batches: int) -> Iterator[Line]:
    """Every method, against the noisy truth and the one without noise."""
    truth = noisy(clean, deviation, tissue, "truth")
    for degradation in DEGRADATIONS:
        for method, made in reconstructions(truth, degradation, batches):
            for against, reference in (("noisy", truth), ("clean", clean)):
                for score, value in scored(reference, made, degradation).items():
                    yield Line(tissue, degradation, deviation, method, against, score, value)


def swapped(one: Sequence[float], other: Sequence[float]) -> tuple[int, int]:
    """Pairs that two lists of scores of the same methods put in another order, and all pairs."""
    pairs = list(itertools.combinations(range(len(one)), 2))
    return sum((one[a] - one[b]) * (other[a] - other[b]) < 0 for a, b in pairs), len(pairs)


Scored = tuple[int, str, str]
"""Noise, what is compared with, and the score."""


def order_changes(lines: Sequence[Line], one: Scored, other: Scored) -> tuple[int, int]:
    """Pairs of methods that two ways of scoring put in another order, and all pairs, over tissues and degradations."""
    values: dict[tuple[str, str], dict[Scored, dict[str, float]]] = {}
    for line in lines:
        if line.degradation in DEGRADATIONS:
            found = values.setdefault((line.tissue, line.degradation), {})
            found.setdefault((line.noise, line.against, line.score), {})[line.method] = line.value
    counts = [
        swapped([*found[one].values()], [found[other][method] for method in found[one]]) for found in values.values()
    ]
    return sum(some for some, _ in counts), sum(every for _, every in counts)


def spread(lines: Sequence[Line], deviation: int, score: str) -> float:
    """Best minus worst method against the noisy truth, mean over tissues and degradations."""
    found: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        if (line.noise, line.score, line.against) == (deviation, score, "noisy") and line.degradation in DEGRADATIONS:
            found.setdefault((line.tissue, line.degradation), []).append(line.value)
    return float(np.mean([max(values) - min(values) for values in found.values()]))


def leads(lines: Sequence[Line], deviation: int, degradation: str, score: str) -> float | None:
    """The network minus the best kernel against the noisy truth, mean over tissues; None where it was left out."""
    found: dict[str, dict[str, float]] = {}
    for line in lines:
        if (line.noise, line.degradation, line.score, line.against) == (deviation, degradation, score, "noisy"):
            found.setdefault(line.tissue, {})[line.method] = line.value
    gaps = [
        values[LEARNED] - max(value for method, value in values.items() if method in KERNELS)
        for values in found.values()
        if LEARNED in values
    ]
    return float(np.mean(gaps)) if gaps else None


def tables(lines: Sequence[Line]) -> str:
    """The study in Markdown."""
    parts = ["## What a perfect reconstruction scores\n", _row("tissue", "noise", "reconstruction", *SCORES)]
    parts.append(_row(*["---"] * 3, *["---:"] * len(SCORES)))
    groups: dict[tuple[str, int, str], dict[str, float]] = {}
    for line in lines:
        if line.degradation == "none":
            groups.setdefault((line.tissue, line.noise, line.method), {})[line.score] = line.value
    parts += [_row(t, str(n), m, *(_text(s, found[s]) for s in SCORES)) for (t, n, m), found in groups.items()]
    levels = sorted({line.noise for line in lines})
    orders: dict[str, Callable[[int, str], Scored]] = {
        "than against the truth without noise, by the same score": lambda level, score: (level, "clean", score),
        "than against the truth without noise, by PSNR": lambda level, score: (level, "clean", "psnr"),
        f"than with noise {levels[0]}, by the same score": lambda level, score: (levels[0], "noisy", score),
    }
    for title, wanted in orders.items():
        parts.append(f"\n## Pairs of methods in another order {title}\n")
        parts += [_row("noise", *SCORES), _row("---", *["---:"] * len(SCORES))]
        for level in levels:
            cells = (order_changes(lines, (level, "noisy", score), wanted(level, score)) for score in SCORES)
            parts.append(_row(str(level), *(f"{some} of {every}" for some, every in cells)))
    parts.append("\n## Best minus worst method, mean over tissues and degradations\n")
    parts += [_row("noise", *SCORES), _row("---", *["---:"] * len(SCORES))]
    parts += [_row(str(level), *(_text(s, spread(lines, level, s)) for s in SCORES)) for level in levels]
    parts.append(f"\n## {LEARNED} minus the best kernel, mean over tissues\n")
    parts += [_row("degradation", "noise", *SCORES), _row("---", "---", *["---:"] * len(SCORES))]
    for degradation, level in itertools.product(DEGRADATIONS, levels):
        gaps = [(s, leads(lines, level, degradation, s)) for s in SCORES]
        parts.append(_row(degradation, str(level), *("" if gap is None else _text(s, gap) for s, gap in gaps)))
    return "\n".join(parts) + "\n"


def _text(score: str, value: float) -> str:
    return f"{value:.2f}" if score.startswith("psnr") else f"{value:.4f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="where files of datasets are; without them, phantoms alone")
    parser.add_argument("--size", type=int, default=96, help="voxels a side, a multiple of 8")
    parser.add_argument("--noise", type=int, nargs="+", default=NOISE, help="standard deviations, in grey levels")
    parser.add_argument("--batches", type=int, default=200, help=f"of the training of {LEARNED}; 0 leaves it out")
    parser.add_argument("--out", type=Path, help="folder for noise.csv and noise.md")
    options = parser.parse_args()
    lines: list[Line] = []
    for tissue, clean in tissues(options.size, options.data_root):
        for deviation in options.noise:
            if deviation:
                lines += ceilings(tissue, clean, deviation)
            lines += study(tissue, clean, deviation, options.batches)
            print(f"{tissue}, noise {deviation}: done", file=sys.stderr, flush=True)
    text = tables(lines)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "noise.md").write_text(text, encoding="utf-8")
        with (options.out / "noise.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Line.__annotations__)
            writer.writerows([*vars(line).values()] for line in lines)


if __name__ == "__main__":
    main()
