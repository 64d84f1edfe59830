"""What larger tiles, planes without needless margins and bfloat16 are worth, against plain tiles.

    python benchmark/perf/tiling.py [--only NAME ...] [--shape 16 250 250] [--scale 8] [--rounds 1] [--threads 1]
        [--weights FILE]

`lateral-cnn` and `cyclegan-ir` (preset `cpu`) reconstruct a volume of noise, once as the engine does, and once with
tiles of a fixed size whose planes all have all margins, half a million pixels at once. Both take turns in this process;
printed are the plain seconds of the processor in those of the engine, as medians of the rounds, and the largest
difference of voxels in [0, 1]. With `bf16` networks compute in bfloat16. `seen` counts voxels that networks work on for
each voxel of a large volume.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from engine import method_and_volume
from torch import Tensor

from vemrecon.infer.reconstruct import reconstruct_array
from vemrecon.infer.tiles import TilePlan
from vemrecon.methods.applied import Applied
from vemrecon.methods.base import Method, Tile, TileShape
from vemrecon.methods.cyclegan_ir.method import CycleGANIR
from vemrecon.volume import SectionGrid, Volume

LARGE = (128, 1024, 1024)
PIXELS = 1 << 19
FIXED = {"lateral-cnn": (32, 64, 64), "cyclegan-ir": (32, 256, 256)}


@dataclass(frozen=True)
class Ratio:
    """How many times less something takes than its baseline, and how far results differ."""

    name: str
    baseline: str
    ratio: float
    difference: float


class Plain(Method):
    """A network of planes in the plain form: all planes of a tile with all margins, in large batches."""

    def __init__(self, method: Method, core: Sequence[int]) -> None:
        super().__init__()
        self.method = method
        self.tile = TileShape(core[0], core[1], core[2], halo=method.tile.halo)

    def reconstruct(self, tile: Tile) -> Tensor:
        """Mean over both directions."""
        volume, enlarged = tile.observed[0, 0], round(tile.scale) if isinstance(self.method, CycleGANIR) else 1
        made = []
        for order, back in (((1, 0, 2), (1, 0, 2)), ((2, 0, 1), (1, 2, 0))):
            planes = volume.permute(order)[:, None]
            at_once = max(1, PIXELS // (enlarged * planes[0].numel()))
            made.append(torch.cat([self.method.restore(part)[:, 0] for part in planes.split(at_once)]).permute(back))
        return (0.5 * (made[0] + made[1]))[None, None]


def learned(name: str, asked: argparse.Namespace) -> tuple[Method, Volume]:
    """A method with weights that do something, and a volume of noise whose result is kept in floats."""
    method, volume = method_and_volume(name, asked.shape, asked.scale)
    if asked.weights:
        from vemrecon.fit.stages import load_weights, trained_parts

        load_weights(method, asked.weights, trained_parts(method))
    else:
        rng = torch.Generator().manual_seed(0)
        for parameter in method.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.02, generator=rng)
    return method, volume


def compared(name: str, asked: argparse.Namespace, short: bool) -> Ratio:
    """The engine against plain tiles in float32."""
    method, observed = learned(name, asked)
    like = replace(Volume(np.zeros((1, 1, 1), np.float32), None, "floats"), intensity_range=(0.0, 1.0))
    kinds = {"plain": Plain(method, FIXED[name]), "engine": Applied(method, short=True) if short else method}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    made = {}
    for _ in range(asked.rounds):
        for kind, one in kinds.items():
            clock = time.process_time()
            made[kind] = reconstruct_array(one.eval(), observed, like=like)
            seconds[kind].append(time.process_time() - clock)
    plain, engine = (statistics.median(seconds[kind]) for kind in kinds)
    kept = f"tiles of {'x'.join(map(str, FIXED[name]))} in float32"
    return Ratio(
        f"{name}{' bf16' if short else ''}", kept, plain / engine, float(abs(made["plain"] - made["engine"]).max())
    )


def seen(name: str, asked: argparse.Namespace) -> Ratio:
    """Voxels that the network works on for each voxel of a large volume, in those of the engine."""
    method, _ = learned(name, asked)
    useful = 2 * LARGE[0] * LARGE[1] * LARGE[2]
    counts = {}
    for kind, tile in {"plain": Plain(method, FIXED[name]).tile, "engine": method.tile}.items():
        counts[kind] = 0
        for place in TilePlan.of(LARGE, SectionGrid.slabs(asked.scale), tile).tiles():
            z, y, x = place.tile.shape
            _, rows, columns = place.output.shape if kind == "engine" else (z, y, x)
            counts[kind] += z * (rows * x + columns * y)
    engine = counts["engine"] / useful
    return Ratio(f"{name} seen", f"{counts['plain'] / useful:.2f} voxels", counts["plain"] / counts["engine"], engine)


def lateral_cnn(asked: argparse.Namespace) -> Ratio:
    """In float32."""
    return compared("lateral-cnn", asked, False)


def lateral_cnn_bf16(asked: argparse.Namespace) -> Ratio:
    """In bfloat16."""
    return compared("lateral-cnn", asked, True)


def cyclegan_ir(asked: argparse.Namespace) -> Ratio:
    """In float32."""
    return compared("cyclegan-ir", asked, False)


def lateral_cnn_seen(asked: argparse.Namespace) -> Ratio:
    """Counted."""
    return seen("lateral-cnn", asked)


def cyclegan_ir_seen(asked: argparse.Namespace) -> Ratio:
    """Counted."""
    return seen("cyclegan-ir", asked)


RATIOS: tuple[Callable[[argparse.Namespace], Ratio], ...] = (
    lateral_cnn,
    lateral_cnn_bf16,
    cyclegan_ir,
    lateral_cnn_seen,
    cyclegan_ir_seen,
)


def main() -> None:
    """Print a line for each ratio."""
    names = [one.__name__ for one in RATIOS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--shape", type=int, nargs=3, default=[16, 250, 250])
    parser.add_argument("--scale", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    for one in RATIOS:
        if one.__name__ in asked.only:
            found = one(asked)
            last = "now" if found.name.endswith("seen") else "difference"
            print(
                f"{found.name:20} {found.ratio:6.2f} times {found.baseline}; {last} {found.difference:.3g}", flush=True
            )


if __name__ == "__main__":
    main()
