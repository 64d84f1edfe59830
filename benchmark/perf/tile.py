"""Seconds and peak memory of VEMamba and IsoVEM on one observed tile, beside the textbook form of each.

    python benchmark/perf/tile.py [--size 16 128 128] [--scale 8] [--threads 2] [--kinds ...]

One forward pass in one orientation, each in a fresh process. `vemamba` uses the chunked scan, `vemamba-textbook` keeps
the whole recurrence in memory, step after step; `isovem` convolves frames in groups, `isovem-textbook` all at once.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from vemrecon.volume import SectionGrid

KINDS = ("vemamba", "vemamba-textbook", "isovem", "isovem-textbook")


def forward(kind: str, scale: int) -> Callable[[Tensor], Tensor]:
    """The forward pass of a method with its published sizes; maps (1, 1, y, z, x) to (1, 1, y, z * scale, x)."""
    torch.manual_seed(0)
    if kind.startswith("vemamba"):
        from vemrecon.methods.vemamba import alcssm
        from vemrecon.methods.vemamba.method import VEMamba

        if kind.endswith("textbook"):
            from vemrecon.nets.selective_scan import selective_scan_reference

            alcssm.selective_scan = selective_scan_reference
        return VEMamba(scale, SectionGrid.slabs(scale)).eval().restore
    from vemrecon.methods.isovem import network
    from vemrecon.methods.isovem.method import IsoVEM

    if kind.endswith("textbook"):
        network.CONVOLVED_VOXELS = {"cpu": 2**40}
    return IsoVEM(scale, SectionGrid.slabs(scale)).eval().restore


def measure(kind: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds and MiB above what the process had before."""
    torch.set_num_threads(options.threads)
    z, y, x = options.size
    run = forward(kind, options.scale)
    observed = torch.rand(1, 1, y, z, x)
    before, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with torch.inference_mode():
        run(observed)
    seconds = time.perf_counter() - clock
    return {"seconds": seconds, "mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[16, 128, 128], metavar=("Z", "Y", "X"))
    parser.add_argument("--scale", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options)))
        return
    for kind in options.kinds:
        done = subprocess.run(
            [sys.executable, str(Path(__file__)), *sys.argv[1:], "--one", kind],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            print(f"{kind:18} ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
            continue
        found = json.loads(done.stdout)
        print(f"{kind:18} {found['seconds']:8.1f} s {found['mib']:8.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
