"""A volume far larger than memory, reconstructed for some time: the memory and the rate must not change.

    python benchmark/perf/endless.py [--shape 512 4096 8192] [--scale 8] [--methods bicubic lateral-cnn] [--seconds 120]

The observed volume (by default 16 gigavoxels) is made when it is read. Each method runs in a fresh process until the
time is over; every tenth of it prints the voxels per second of output and the resident set, then what 10^12 voxels of
output would take at this rate. `--memory` bounds it as that of `vemrecon reconstruct`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from engine import method_and_volume

TENTHS = 10
TERAVOXEL = 10**12
DAY = 86400


class OverError(Exception):
    """The time is over."""


def resident() -> int:
    """Resident set of this process in bytes."""
    import resource

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def run(name: str, shape: list[int], scale: int, seconds: float, memory: str | None) -> None:
    """Reconstruct until the time is over, and print a line for every tenth of it."""
    from vemrecon.infer.estimate import most_voxels
    from vemrecon.infer.reconstruct import reconstruct_volume
    from vemrecon.processes import peak_memory
    from vemrecon.quantities import byte_count

    method, observed = method_and_volume(name, shape, scale)
    most = None if memory is None else most_voxels(byte_count("--memory", memory), method, observed)
    total = observed.whole.voxels * scale
    clock, said, before = time.perf_counter(), 0, 0.0

    def tell(share: float) -> None:
        nonlocal said, before
        passed = time.perf_counter() - clock
        if passed >= (said + 1) * seconds / TENTHS:
            rate = (share - before) * total / (seconds / TENTHS)
            print(f"{name:12}{passed:6.0f} s  {rate / 1e6:8.2f} megavoxels/s  {resident() >> 20:6} MiB", flush=True)
            said, before = said + 1, share
        if passed >= seconds:
            rate = share * total / passed
            print(
                f"{name:12}{rate / 1e6:.2f} megavoxels/s over all, peak {peak_memory() >> 20} MiB; a teravoxel: "
                f"{TERAVOXEL / rate / DAY:.1f} days"
            )
            raise OverError

    with tempfile.TemporaryDirectory() as folder, suppress(OverError):
        reconstruct_volume(
            method, observed, Path(folder) / "made.zarr", like=observed, most=most, pyramid=True, progress=tell
        )


def main() -> None:
    """Run every method in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=[512, 4096, 8192])
    parser.add_argument("--scale", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=["bicubic", "lateral-cnn"])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--memory")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        import torch

        torch.set_num_threads(asked.threads)
        run(asked.methods[0], asked.shape, asked.scale, asked.seconds, asked.memory)
        return
    given = [word for word in sys.argv[1:] if word not in ("--methods", *asked.methods)]
    for name in asked.methods:
        subprocess.run([sys.executable, __file__, "--alone", *given, "--methods", name], check=True)


if __name__ == "__main__":
    main()
