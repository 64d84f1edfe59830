"""The engine of `vemrecon reconstruct` against what it cannot beat: the method alone, and a copy of the output.

    python benchmark/perf/engine.py [--shape 64 1024 1024] [--scale 8] [--methods bicubic lateral-cnn] [--threads 2]

Each in a fresh process on a volume of noise that is made when it is read: `engine` writes the whole reconstruction,
`alone` calls the method on the same tiles and throws the result away, `copy` writes the same bytes from memory into
arrays with the same chunks and shards, coarser levels included. Prints seconds, peak resident set, files, and the
seconds of the others in those of the engine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vemrecon.methods.base import Method
    from vemrecon.volume import Volume

KINDS = ("engine", "alone", "copy")
PERIOD = (32, 512, 512)


class Noise:
    """Smooth grey levels and noise that repeat themselves, so that any size takes little memory."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(np.uint8)
        y, x = np.ogrid[: PERIOD[1], : PERIOD[2]]
        noise = np.random.default_rng(0).integers(0, 48, PERIOD, dtype=np.uint8)
        self.grey = noise + (100 + 60 * np.sin(y / 40) * np.cos(x / 25)).astype(np.uint8)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[np.uint8]:
        places = zip(index, self.shape, PERIOD, strict=True)
        z, y, x = (np.arange(*one.indices(n)) % period for one, n, period in places)
        return self.grey[z][:, y][:, :, x]


def method_and_volume(name: str, shape: Sequence[int], scale: int) -> tuple[Method, Volume]:
    """A method of preset `cpu` with random weights, and noise."""
    from vemrecon.methods.build import build_method
    from vemrecon.methods.condition import Situation
    from vemrecon.methods.registry import choose_preset, method_entry
    from vemrecon.volume import SectionGrid, Volume

    grid = SectionGrid.slabs(scale)
    entry, _, presets = method_entry(name).resolved()
    method = build_method(
        entry, name, choose_preset(name, "cpu", presets)[1].arguments(Situation.of_grid(grid)), grid=grid, seed=0
    ).eval()
    return method, replace(Volume(Noise(shape), None, "noise"), grid=grid)


def measured(kind: str, name: str, shape: Sequence[int], scale: int, folder: Path) -> dict[str, Any]:
    """Seconds, peak memory and files of one kind of work."""
    import zarr

    from vemrecon.infer.maker import tile_output
    from vemrecon.infer.overlap import read_ahead
    from vemrecon.infer.reconstruct import reconstruct_array, reconstruct_volume
    from vemrecon.infer.tiles import TilePlan
    from vemrecon.processes import peak_memory
    from vemrecon.volume import Region
    from vemrecon.volume.ome_zarr import create_zarr
    from vemrecon.volume.pyramid import halved

    method, observed = method_and_volume(name, shape, scale)
    grid = observed.require_grid()
    plan = TilePlan.of(observed.shape, grid, method.tile)
    plan = replace(plan, pyramid=True)
    made = []
    if kind == "copy":  # what the engine makes, in memory before the clock starts
        made = [reconstruct_array(method, observed, like=observed)]
        for _ in plan.levels[1:]:
            made.append(halved(made[-1]))
    clock = time.perf_counter()
    if kind == "engine":
        reconstruct_volume(method, observed, folder / "made.zarr", like=observed, pyramid=True)
    elif kind == "alone":
        for place, voxels in read_ahead(lambda place: observed.read(place.tile), plan.tiles()):
            tile_output(method, grid, place, voxels, "cpu")
    else:
        finest, *coarser = plan.levels
        path = folder / "copy.zarr"
        create_zarr(path, plan.made, np.uint8, None, chunks=finest.chunk, shards=finest.shard, coarser=coarser)
        for number, (level, voxels) in enumerate(zip(plan.levels, made, strict=True)):
            array: Any = zarr.open_array(path / str(number), mode="r+")
            for file in Region.whole(level.shape).blocks(level.shard):
                array[file.slices] = voxels[file.slices]
    seconds = time.perf_counter() - clock
    files = sum(1 for file in folder.rglob("*") if file.is_file())
    return {"seconds": seconds, "peak_mib": peak_memory() >> 20, "files": files}


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=[64, 1024, 1024])
    parser.add_argument("--scale", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=["bicubic", "lateral-cnn"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kind", choices=KINDS)
    asked = parser.parse_args()
    if asked.kind:
        import torch

        torch.set_num_threads(asked.threads)
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measured(asked.kind, asked.methods[0], asked.shape, asked.scale, Path(folder))))
        return
    for name in asked.methods:
        words = ["--shape", *map(str, asked.shape), "--scale", str(asked.scale), "--threads", str(asked.threads)]
        found = {}
        for kind in KINDS:
            command = [sys.executable, __file__, *words, "--methods", name, "--kind", kind]
            found[kind] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"{name:14}{kind:8}" + "  ".join(f"{key} {value:.4g}" for key, value in found[kind].items()))
        engine = found["engine"]["seconds"]
        ratios = ", ".join(f"{kind} {found[kind]['seconds'] / engine:.2f}" for kind in KINDS[1:])
        print(f"{name:14}share of the engine's time: {ratios}")


if __name__ == "__main__":
    main()
