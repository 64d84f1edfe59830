"""Memory and time of `vemrecon prepare` on a TIFF stack that is larger than the memory it is given.

    python benchmark/perf/prepare.py [--gib 4] [--memory 1GiB] [--compression none|zlib] [--folder FOLDER]

Writes a synthetic uint8 stack of 2048 x 2048 sections (a pattern and noise) section by section, 256 sections a GiB, to
a temporary folder, prepares it in a process of its own, and prints that process's peak resident set and its seconds,
and the peak of a process that prepares two sections. Afterwards all voxels are compared with what was written. The peak
is read from /proc, so this runs on Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 2048
COMMAND = """
import sys
from vemrecon.cli import main
code = main(sys.argv[1:])
print(open("/proc/self/status").read())
sys.exit(code)
"""


def section(z: int) -> NDArray[np.uint8]:
    """Waves that drift with z, and 5 bits of noise from a table that is shifted from section to section."""
    rng = np.random.default_rng(z)
    noise = np.roll(_noise(), tuple(rng.integers(0, SIDE, 2)), (0, 1))
    y, x = np.ogrid[:SIDE, :SIDE]
    waves = 60 * np.sin((y + z) / 40).astype(np.float32) + 40 * np.sin((x - z) / 25).astype(np.float32)
    return (waves + noise + 112).astype(np.uint8)


def _noise(kept: list[NDArray[np.uint8]] = []) -> NDArray[np.uint8]:  # noqa: B006 - made once
    if not kept:
        kept.append(np.random.default_rng(0).integers(0, 32, (SIDE, SIDE), dtype=np.uint8))
    return kept[0]


def write_stack(path: Path, sections: int, compression: str) -> None:
    """A BigTIFF where it has to be one, one section a page."""
    import tifffile

    def pages() -> Iterator[NDArray[np.uint8]]:
        yield from map(section, range(sections))

    tifffile.imwrite(
        path, pages(), shape=(sections, SIDE, SIDE), dtype=np.uint8, photometric="minisblack", bigtiff=True,
        compression=None if compression == "none" else compression, metadata=None,
    )  # fmt: skip


def measured(words: list[str]) -> tuple[float, float]:
    """Seconds and peak resident set (MiB) of a process; its own peak, to which that of this one does not count."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"vemrecon {' '.join(words)}: exit code {done.returncode}")
    peak = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM:"))
    return time.perf_counter() - start, int(peak.split()[1]) / 1024


def main() -> None:
    """Write, prepare, compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gib", type=float, default=4, help="size of the raw stack")
    options.add_argument("--memory", default="1GiB", help="given to `vemrecon prepare`")
    options.add_argument("--compression", choices=["none", "zlib"], default="none", help="of the pages")
    options.add_argument("--folder", help="where to make the temporary folder")
    given = options.parse_args()
    sections = round(given.gib * 256)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        raw, out = Path(name) / "raw.tif", Path(name) / "prepared.zarr"
        start = time.perf_counter()
        write_stack(raw, sections, given.compression)
        size = raw.stat().st_size / 2**30
        seconds = time.perf_counter() - start
        print(f"raw stack: {sections} x {SIDE} x {SIDE} uint8, {size:.2f} GiB on disk, {seconds:.0f} s", flush=True)
        tiny = Path(name) / "tiny.tif"
        write_stack(tiny, 2, given.compression)
        _, baseline = measured(["prepare", str(tiny), str(Path(name) / "tiny.zarr"), "--voxel-size", "8", "8", "8"])
        words = ["prepare", str(raw), str(out), "--memory", given.memory, "--voxel-size", "8", "8", "8"]
        seconds, peak = measured(words)
        print(f"two sections alone: peak resident set {baseline:.0f} MiB")
        print(f"prepare --memory {given.memory}: peak resident set {peak:.0f} MiB, {seconds:.0f} s")
        compare(out, sections)


def compare(out: Path, sections: int) -> None:
    """Every voxel against what was written."""
    from vemrecon.volume import open_volume

    volume = open_volume(out)
    for slab in volume.slabs(16):
        expected = np.stack([section(z) for z in range(slab.start[0], slab.stop[0])])
        if not np.array_equal(volume.read_raw(slab), expected):
            raise SystemExit(f"voxels differ in {slab}")
    print(f"all {volume.whole.voxels} voxels are those of the raw stack")


if __name__ == "__main__":
    main()
