"""Time and memory of rendering 2D Gaussians, forward and backward, against the dense definition.

    python benchmark/perf/gauss.py [--sides 64 128 256] [--density 0.25] [--modes alpha additive] [--threads 1]
                                   [--device cpu] [--kinds tiled dense gsplat]

`tiled` is the renderer of EMGauss, `dense` evaluates every Gaussian at every pixel, `gsplat` is that package
(CUDA, mode alpha). Gaussians lie at random, `density` of them per pixel, with standard deviations of 0.6 spacings.
Every measurement runs in a fresh process. Memory is the growth of the peak during the first pass, with gradients;
samples are Gaussians times pixels, those of the dense definition, whoever renders.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("tiled", "dense", "gsplat")


def inputs(side: int, density: float, device: str) -> list[Tensor]:
    """Means, scales, rotations, opacities and grey values, with gradients."""
    import torch

    source = torch.Generator().manual_seed(0)
    n, spacing = round(side * side * density), density**-0.5
    means = torch.rand(n, 2, generator=source) * side
    parts = [
        means,
        torch.full((n, 2), 0.6 * spacing),
        torch.zeros(n),
        torch.full((n,), 0.5),
        torch.rand(n, 1, generator=source),
    ]
    return [x.to(device).requires_grad_() for x in parts]


def measure(kind: str, mode: str, side: int, options: argparse.Namespace) -> dict[str, float]:
    """Best time of a few passes in seconds, and peak memory of the first in MiB."""
    import torch

    from vemrecon.methods.emgauss.dense import render_dense
    from vemrecon.methods.emgauss.gsplat_kernel import render_gsplat
    from vemrecon.methods.emgauss.splats import Splats
    from vemrecon.methods.emgauss.tiled import render_tiled

    torch.set_num_threads(options.threads)
    cuda, background = options.device != "cpu", torch.tensor([0.5], device=options.device)
    render = {
        "tiled": lambda splats, size: render_tiled(splats, background, size, mode=mode),
        "dense": lambda splats, size: render_dense(splats, background, size, mode=mode, eps2d=0.02, cut=1 / 255),
        "gsplat": lambda splats, size: render_gsplat(splats, background, size),
    }[kind]

    def once(tensors: list[Tensor], side: int) -> float:
        for x in tensors:
            x.grad = None
        begin = time.perf_counter()
        section, _ = render(Splats(*tensors), (side, side))
        section.square().sum().backward()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    once(inputs(16, options.density, options.device), 16)
    tensors = inputs(side, options.density, options.device)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = [once(tensors, side)]
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    while len(seconds) < 9 and sum(seconds) < 20:
        seconds.append(once(tensors, side))
    return {"seconds": min(seconds), "mebibytes": (peak - before) / 2**20}


def in_fresh_process(kind: str, mode: str, side: int, arguments: list[str]) -> dict[str, float] | None:
    """Measure in a process of its own; None if that failed, for example for want of memory."""
    command = [sys.executable, __file__, *arguments, "--measure", kind, mode, str(side)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        print(f"{kind:7} failed: {(answer.stderr.strip().splitlines() or ['killed'])[-1]}", flush=True)
        return None
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def main() -> None:
    """Measure all sizes and print times, samples per second, memory, and how many times faster than dense."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--density", type=float, default=0.25, help="Gaussians per pixel")
    parser.add_argument("--modes", nargs="+", choices=["alpha", "additive"], default=["alpha", "additive"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS[:2]))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--most", type=float, default=2e8, help="most samples that the dense definition is tried with")
    parser.add_argument("--measure", nargs=3, metavar=("KIND", "MODE", "SIDE"), help="one measurement, as JSON")
    options = parser.parse_args()
    if options.measure:
        kind, mode, side = options.measure
        print(json.dumps(measure(kind, mode, int(side), options)))
        return
    print(f"{'kind':7} {'mode':8} {'side':>5} {'Gaussians':>10} {'ms':>9} {'samples/s':>10} {'MiB':>7} {'x dense':>8}")
    for side in options.sides:
        count = round(side * side * options.density)
        for mode in options.modes:
            found = {
                kind: in_fresh_process(kind, mode, side, sys.argv[1:])
                for kind in options.kinds
                if kind != "dense" or count * side**2 <= options.most
            }
            dense = found.get("dense")
            for kind, result in found.items():
                if result is None:
                    continue
                rate, ratio = count * side**2 / result["seconds"], dense and dense["seconds"] / result["seconds"]
                line = f"{kind:7} {mode:8} {side:5} {count:10} {1e3 * result['seconds']:9.1f} {rate:10.1e}"
                print(f"{line} {result['mebibytes']:7.0f} {f'{ratio:8.1f}' if ratio else '':>8}", flush=True)


if __name__ == "__main__":
    main()
