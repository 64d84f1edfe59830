"""Seconds and peak memory of every metric of a reference task, and the share of a run that each takes.

    python benchmark/perf/metrics.py [--size 250] [--volume FILE [--dataset raw]] [--metrics psnr ssim ...]
                                     [--threads 1] [--run-seconds 1200]

Scores a volume and its evaluation blocks as a run does, every metric in a fresh process: `seconds` with all that is
loaded for the metric alone, `MiB` above the peak of that process after imports and with both volumes in memory (the
uncertainty too, where it is scored). `protocol` is what runs score unless told otherwise, in one process; metrics share
the reading there. 1200 seconds is the design length of the preset `cpu`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vemrecon import protocol
from vemrecon.metrics.catalogue import names_for
from vemrecon.seeding import derive
from vemrecon.volume import Region, SectionGrid, Volume, VoxelSize, open_volume, quantise

NAMES = names_for("reference")
ELSEWHERE = {"segmentation": "needs a dataset with labels and its segmenter"}
TOGETHER = "protocol"
SCALE = 4
DEFAULTS: tuple[str, ...] = tuple(n for n in protocol.protocol()["metrics"]["reference"] if n not in ELSEWHERE)


def smooth(size: int) -> NDArray[np.uint8]:
    """Smoothed noise with some fine noise, in 8 bit."""
    from scipy import ndimage

    rng = derive(0, "metrics", size)
    values = ndimage.gaussian_filter(rng.standard_normal((size, size, size), dtype=np.float32), 2) * 160
    values += 128 + 8 * rng.standard_normal(values.shape, dtype=np.float32)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def central(path: Path, dataset: str | None, size: int) -> NDArray[np.uint8]:
    """The middle of a file, at most `size` voxels a side."""
    volume = open_volume(path, dataset)
    start = [max(0, (n - size) // 2) for n in volume.shape]
    stop = [min(n, s + size) for n, s in zip(volume.shape, start, strict=True)]
    part = Region((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return np.asarray(quantise(volume.read(part), np.dtype(np.uint8), None), dtype=np.uint8)


def degraded(truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Block means along z, linearly interpolated back."""
    n = len(truth) // SCALE
    means = truth[: n * SCALE].reshape(n, SCALE, *truth.shape[1:]).mean(axis=1, dtype=np.float32)
    at = np.clip((np.arange(len(truth)) + 0.5) / SCALE - 0.5, 0, n - 1)
    below = np.minimum(at.astype(int), n - 2)
    share = (at - below).astype(np.float32)[:, None, None]
    return np.rint(means[below] * (1 - share) + means[below + 1] * share).astype(np.uint8)


def prepare(folder: Path, truth: NDArray[np.uint8]) -> None:
    """Store what the other processes score; the uncertainty is random, which takes as long as any other."""
    spread = derive(0, "metrics", "uncertainty").gamma(2.0, 4.0, truth.shape) / 255
    for name, array in (("truth", truth), ("made", degraded(truth)), ("spread", spread.astype(np.float32))):
        np.save(folder / f"{name}.npy", array)


def measure(folder: Path, name: str, threads: int) -> dict[str, float | str]:
    """Seconds, and MiB above what the process took before; or why there is no value."""
    import torch

    from vemrecon.bench.scoring import evaluation_blocks
    from vemrecon.metrics.evaluate import judge
    from vemrecon.metrics.evidence import Evidence

    torch.set_num_threads(threads)
    wanted = DEFAULTS if name == TOGETHER else (name,)
    arrays = {part: np.load(folder / f"{part}.npy") for part in ("truth", "made")}
    if "uncertainty" in wanted:
        arrays["spread"] = np.load(folder / "spread.npy")
    volumes = {part: Volume(array, VoxelSize(10, 10, 10), part) for part, array in arrays.items()}
    truth, made = volumes["truth"], volumes["made"]
    before, clock = peak(), time.perf_counter()
    evidence = Evidence(
        made, {"all": truth.whole}, truth=truth, blocks=evaluation_blocks(truth.whole), grid=SectionGrid.slabs(SCALE),
        spread=volumes.get("spread"),
    )  # fmt: skip
    scores = judge(evidence, wanted).scores
    seconds, memory = time.perf_counter() - clock, peak() - before
    if all(score.value is None for score in scores):
        return {"skipped": scores[0].note if scores else "no score"}
    return {"seconds": seconds, "mib": memory}


def peak() -> float:
    """Largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measured(folder: Path, name: str, threads: int) -> dict[str, float | str]:
    """`measure` in a process of its own."""
    if name in ELSEWHERE:
        return {"skipped": ELSEWHERE[name]}
    words = [sys.executable, __file__, "--threads", str(threads), "--one", str(folder), name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"skipped": f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"}
    answer: dict[str, float | str] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=250, help="edge of the volume in voxels; of a file its middle")
    parser.add_argument("--volume", type=Path, help="score this file instead of smoothed noise")
    parser.add_argument("--dataset", help="name inside an HDF5 file or zarr group")
    parser.add_argument("--metrics", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run-seconds", type=float, default=1200, help="length of a run, for the share")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        folder, name = options.one
        print(json.dumps(measure(Path(folder), name, options.threads)))
        return
    truth = central(options.volume, options.dataset, options.size) if options.volume else smooth(options.size)
    print(f"volume {' x '.join(map(str, truth.shape))}, {options.threads} thread(s), run {options.run_seconds:g} s")
    print(f"{'metric':18} {'seconds':>9} {'MiB':>7} {'share':>8}")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), truth)
        for name in (*options.metrics, TOGETHER):
            found = measured(Path(folder), name, options.threads)
            if "skipped" in found:
                print(f"{name:18} skipped: {found['skipped']}", flush=True)
                continue
            share = float(found["seconds"]) / options.run_seconds
            print(f"{name:18} {found['seconds']:9.2f} {found['mib']:7.0f} {share:8.2%}", flush=True)
    print(f"{TOGETHER}: {', '.join(DEFAULTS)}")


if __name__ == "__main__":
    main()
