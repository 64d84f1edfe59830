"""Every metric with states, its work in pieces, and a run of it in one of two processes.

    python tests/metrics/shared_work.py RANK FOLDER

does every second piece, lets the two processes add up their states by themselves, and writes what each then computes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from metrics.metric_volumes import ODD, GreyVolume, noisy, textured, tiles
from torch import Tensor
from torchmetrics import Metric

from vemrecon.metrics.catalogue import fsc, lpips, ms_ssim, ssim
from vemrecon.metrics.fsc import FourierShellCorrelation
from vemrecon.metrics.fsim import FeatureSimilarity
from vemrecon.metrics.isotropy import AxialContinuity, PowerAnisotropy
from vemrecon.metrics.low_pass import LowPass, LowPassPSNR, LowPassSSIM
from vemrecon.metrics.lpips import PerceptualSimilarity
from vemrecon.metrics.ms_ssim import MultiScaleStructuralSimilarity
from vemrecon.metrics.psnr import PeakSignalNoiseRatio
from vemrecon.metrics.spectrum import folded_spectra
from vemrecon.metrics.ssim import StructuralSimilarity
from vemrecon.metrics.whole_sections import WholeSectionMetric
from vemrecon.volume.planes import NORMALS
from vemrecon.volume.region import Region, Triple
from vemrecon.volume.voxels import VoxelSize

SIZE = VoxelSize(8, 8, 8)
WHOLE = Region.whole(ODD)


@dataclass(frozen=True)
class Case:
    """A metric, and calls of its update that are all of its work, in any order."""

    make: Callable[[], Metric]
    pieces: Sequence[Callable[[Any], None]]


def mean_difference(network: str) -> Callable[[Tensor, Tensor], Tensor]:
    """In place of LPIPS, whose weights are not at hand: the way to it is tested, not the network."""
    return lambda a, b: (a - b).abs().mean(dim=(1, 2, 3))


def perceptual(network: str, region: Region) -> PerceptualSimilarity:
    with patch("vemrecon.metrics.lpips.perceptual_distance", mean_difference):
        return PerceptualSimilarity([region], network)


def of_tiles(make: Callable[[], Metric], halo: int = 5) -> Case:
    a = textured(ODD)
    found = list(tiles(GreyVolume(a), GreyVolume(noisy(a)), WHOLE, halo, size=(8, 16, 16)))
    return Case(make, [lambda metric, tile=tile: metric.update(tile) for tile in found])


def of_sections(make: Callable[[], WholeSectionMetric], shape: Triple) -> Case:
    a = textured(shape)
    b = noisy(a, 25)
    pieces = []
    for plane, normal in NORMALS.items():
        if make().defined(0, plane):
            p, q = (torch.from_numpy(v).movedim(normal, 0) for v in (a, b))
            for first in range(0, len(p), 5):
                part = slice(first, first + 5)

                def piece(metric: Any, plane: str = plane, part: slice = part, p: Tensor = p, q: Tensor = q) -> None:
                    metric.update(0, plane, part.start, metric.compare(p[part], q[part]))

                pieces.append(piece)
    return Case(make, pieces)


def of_spectra(make: Callable[[], Metric], taper: str) -> Case:
    volumes = [textured((20, 18, 16), seed) for seed in range(3)]
    folded = [folded_spectra(torch.tensor(v), torch.tensor(noisy(v, 30)), taper) for v in volumes]
    return Case(make, [lambda metric, f=f, k=k: metric.update(f, k) for k, f in enumerate(folded)])


def cases() -> dict[str, Case]:
    """By the name that a user asks for, or that of the part of `axial`."""
    found = {"psnr": of_tiles(lambda: PeakSignalNoiseRatio([WHOLE]))}
    for name, (variant, _) in ssim.VARIANTS.items():
        found[name] = of_tiles(lambda variant=variant: StructuralSimilarity([WHOLE], variant))
    found["psnr_lowpass1"] = of_tiles(lambda: LowPassPSNR([WHOLE], LowPass("sigma1")))
    found["ssim_lowpass1"] = of_tiles(lambda: LowPassSSIM([WHOLE], LowPass("sigma1", (1, 2))), 9)
    for name, (variant, _) in ms_ssim.NAMES.items():
        shape = (11, 66, 65) if variant == "p5" else (11, 176, 177)
        region = Region.whole(shape)
        make = lambda region=region, variant=variant: MultiScaleStructuralSimilarity([region], variant)  # noqa: E731
        found[name] = of_sections(make, shape)
    whole = Region.whole((26, 33, 35))
    found["fsim"] = of_sections(lambda: FeatureSimilarity([whole]), whole.shape)
    for network in lpips.WORK:
        found[f"lpips_{network}"] = of_sections(lambda network=network: perceptual(network, whole), whole.shape)
    for name, taper in fsc.TAPERS.items():
        make_fsc = lambda taper=taper: FourierShellCorrelation((20, 18, 16), SIZE, 3, taper)  # noqa: E731
        found[name] = of_spectra(make_fsc, taper)
    found["axial continuity"] = of_tiles(lambda: AxialContinuity([WHOLE]))
    found["axial power"] = of_spectra(lambda: PowerAnisotropy((20, 18, 16), SIZE, 3), "hann")
    return found


def numbers(found: Any) -> list[float]:
    """All numbers of what a metric computes."""
    if isinstance(found, Tensor):
        return [float(value) for value in found.reshape(-1)]
    parts = found.values() if isinstance(found, dict) else found
    return [value for part in parts for value in numbers(part)]


def computed(case: Case, pieces: slice = slice(None)) -> Metric:
    """The metric after some of its pieces."""
    metric = case.make()
    for piece in case.pieces[pieces]:
        piece(metric)
    return metric


def main(rank: int, folder: Path) -> None:
    """Do the part of one of two processes."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    found = {name: numbers(computed(case, slice(rank, None, 2)).compute()) for name, case in cases().items()}
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
