"""What the steps of IRSDE's sampler cost and give: evaluations of the network, seconds and scores on the same weights.

    python benchmark/perf/sampling.py TRUTH WEIGHTS [--region Z0 Z1 Y0 Y1 X0 X1] [--steps 100 50 20 10 ...]
        [--samplers posterior sde ode] [--samples 1]

TRUTH is an isotropic volume that the weights (of a run with kept sections) have not seen. Its region is degraded,
restored as one tile along xz and yz sections of its extent, and scored in all voxels. `texture` is the power of steps
between neighbouring voxels along y and x in restored sections over that in true ones: below 1 is smoother than tissue.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from vemrecon.degradations import degrade, make_degradation
from vemrecon.fit.stages import load_weights, trained_parts, weights_facts
from vemrecon.methods.base import Method, Tile, reconstruct_tile
from vemrecon.methods.build import build_method
from vemrecon.methods.irsde.method import IRSDE
from vemrecon.metrics.evaluate import evaluate
from vemrecon.volume import Region, SectionGrid, Volume, open_volume, quantise


def lateral_power(voxels: np.ndarray) -> float:
    """Mean square of steps along y and x, shape (z, y, x)."""
    return float(np.square(np.diff(voxels, axis=1)).mean() + np.square(np.diff(voxels, axis=2)).mean())


def main() -> None:
    """Restore, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--region", type=int, nargs=6)
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 50, 20, 10])
    parser.add_argument("--samplers", nargs="+", default=["posterior", "sde"])
    parser.add_argument("--samples", type=int, default=1)
    options = parser.parse_args()
    facts = weights_facts(options.weights)
    scale = facts["scale"]
    grid = SectionGrid.stored(facts["grid"], scale)
    truth = open_volume(options.truth)
    if options.region:
        z0, z1, y0, y1, x0, x1 = options.region
        truth = truth.crop(Region((z0, y0, x0), (z1, y1, x1)))
    observed = degrade(truth, make_degradation("subsample" if grid.thin else "average", scale))
    voxels = torch.from_numpy(observed.read(observed.whole))[None, None]
    sharp = truth.read(truth.whole)
    between = np.arange(len(sharp)) % round(scale) != 0  # kept sections are noisy as recorded
    print(
        f"{'sampler':10} {'steps':>5} {'evaluations':>11} {'seconds':>8} {'PSNR':>6} {'SSIM':>6} {'FSC z':>6} texture"
    )
    for name in ("linear", *options.samplers):
        for steps in options.steps if name != "linear" else [0]:
            method: Method
            if name == "linear":
                from vemrecon.methods.interpolation import Interpolation

                method = Interpolation("linear")
            else:
                changed = {"sampler": name, "steps": steps, "samples": options.samples, "section": truth.shape[:2]}
                method = build_method(IRSDE, "irsde", {**facts["arguments"], **changed}, grid=grid, seed=0)
                load_weights(method, options.weights, trained_parts(method))
            clock = time.perf_counter()
            made = reconstruct_tile(method.eval(), Tile(voxels, grid))[0][0, 0].numpy()
            seconds = time.perf_counter() - clock
            stored = Volume(quantise(made, truth.dtype), truth.voxel_size, name)
            found = evaluate(truth, stored, metrics=("psnr", "ssim", "fsc"), ranges={"all": truth.whole}, scale=scale)
            scores = {(row.metric, row.variant, row.plane): row.value for row in found.scores}
            psnr, ssim = scores["psnr", "", "volume"], scores["ssim", "gaussian11", "mean"]
            texture = lateral_power(made[between]) / lateral_power(sharp[between])
            evaluations = steps * options.samples
            print(
                f"{name:10} {steps:5} {evaluations:11} {seconds:8.1f} {psnr:6.2f} {ssim:6.4f} "
                f"{scores['fsc', 'hann', 'z']:6.1f} {texture:7.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
