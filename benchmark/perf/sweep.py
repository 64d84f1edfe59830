"""What a sweep costs beside the work of its runs: on this machine, and on a dask LocalCluster of two.

    python benchmark/perf/sweep.py [--runs 24] [--seconds 0 5]

Kernels on a small volume at many scales (`--seconds 0`), or a method that computes for so many seconds. `imports` is a
process that only imports the libraries, `work` does all runs one after the other in a process that has imported them,
the others are `vemrecon bench` from the shell to the report. Prints seconds, what one run costs beside work and
imports, and the time as a multiple of the work (divided by the runs at once).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

METHODS = ("nearest", "linear", "bicubic", "bicubic-keys", "bspline3", "lanczos3")
SLOW = """
import time
from vemrecon.methods import Method, MethodCard

class Slow(Method):
    card = MethodCard("Takes its time", "none")

    def __init__(self, seconds: float = 5.0, number: int = 0) -> None:
        super().__init__()
        self.seconds = seconds

    def reconstruct(self, tile):
        time.sleep(self.seconds)
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)
"""
MODES = {"one at a time": ("--jobs", "1"), "two at once": ("--jobs", "2"), "dask local:2": ("--dask", "local:2")}
VOLUME = (48, 64, 64)


def words(folder: Path, runs: str, count: int, seconds: float) -> list[str]:
    """`vemrecon bench` of so many runs."""
    found = [sys.executable, "-m", "vemrecon", "bench", "--dataset", f"local:{folder / 'v.npy'}"]
    found += ["--voxel-size", "8", "8", "8", "--metrics", "psnr", "ssim", "--runs", str(folder / runs)]
    if seconds:
        suite = folder / "slow.yaml"
        rows = [f"  - {{class_path: slow.Slow, init_args: {{seconds: {seconds}, number: {n}}}}}" for n in range(count)]
        suite.write_text("\n".join(["scale: 4", "methods:", *rows, ""]))
        return [*found, "--scale", "4", "--suite", str(suite)]
    scales = [str(2 + n / 4) for n in range(-(-count // len(METHODS)))]
    return [*found, "--methods", *METHODS, "--scale", *scales]


def timed(command: list[str], folder: Path) -> float:
    """Seconds of a command."""
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    clock = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=os.environ | {"PYTHONPATH": paths})
    return time.perf_counter() - clock


def alone(folders: list[str]) -> None:
    """Do runs one after the other in this process, and print the seconds."""
    from vemrecon.bench.executors.warm import load
    from vemrecon.bench.store import RunFolder
    from vemrecon.bench.worker import recorded
    from vemrecon.progress import silent

    load()
    clock = time.perf_counter()
    for folder in folders:
        recorded(RunFolder.open(Path(folder)), silent)
    print(time.perf_counter() - clock)


def main() -> None:
    """Print a table for each length of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.0, 5.0])
    parser.add_argument("--alone", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        alone(asked.alone)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / "v.npy", np.random.default_rng(0).integers(60, 190, VOLUME, dtype=np.uint8))
        (folder / "slow.py").write_text(SLOW)
        imports = timed([sys.executable, "-c", "from vemrecon.bench.executors.warm import load; load()"], folder)
        print(f"imports {imports:.1f} s")
        for seconds in asked.seconds:
            begun = [*words(folder, f"alone-{seconds}", asked.runs, seconds), "--prepare"]
            paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
            environ = os.environ | {"PYTHONPATH": paths}
            said = subprocess.run(begun, check=True, capture_output=True, text=True, cwd=folder, env=environ).stdout
            runs = [line for line in said.splitlines() if (Path(line) / "spec.json").exists()]
            command = [sys.executable, str(Path(__file__).resolve()), "--alone", *runs]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=environ)
            work = float(done.stdout.splitlines()[-1])
            print(f"{len(runs)} runs of {work / len(runs):.2f} s: work {work:.1f} s")
            for number, (name, more) in enumerate(MODES.items()):
                taken = timed([*words(folder, f"{number}-{seconds}", asked.runs, seconds), *more], folder)
                least = work / (1 if number == 0 else 2)
                cost = (taken - imports - least) / len(runs)
                print(f"  {name:14} {taken:6.1f} s, {cost:.2f} s a run beside, {taken / least:.2f} times the work")


if __name__ == "__main__":
    main()
