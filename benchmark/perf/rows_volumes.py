"""Rows about volumes: rounding, degrading, the engine, and starting."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ratios import Ratio, in_turns, row

from vemrecon.seeding import derive

HERE = Path(__file__).parent


def grey(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Noise in 8 bit."""
    return derive(0, "perf").integers(60, 190, shape, dtype=np.uint8)


@row("quantise", "rounding 256 x 128 x 128 voxels to 8 bit", "the definition in float64, section by section")
def quantise_voxels() -> Ratio:
    """Both ways."""
    from vemrecon.volume import quantise

    values = derive(0, "perf").random((256, 128, 128), np.float32)

    def defined() -> NDArray[np.uint8]:
        made = np.empty(values.shape, np.uint8)
        for part, out in zip(values, made, strict=True):
            out[...] = np.rint(np.round(np.clip(part.astype(np.float64), 0, 1) * 255, 3))
        return made

    def ours() -> NDArray[np.uint8]:
        return np.asarray(quantise(values, np.dtype(np.uint8)))

    return Ratio(*in_turns(ours, defined, 9), f"{np.count_nonzero(ours() != defined())} voxels")


def degraded(kind: str) -> Ratio:
    """A volume in memory, degraded in memory, against a copy of it."""
    from vemrecon.degradations import degrade, make_degradation
    from vemrecon.volume import Volume

    voxels = grey((64, 512, 512))
    observed = degrade(Volume(voxels, None, "noise"), make_degradation(kind, 8))
    return Ratio(*in_turns(lambda: observed.read(observed.whole), lambda: voxels.astype(np.float32) / np.float32(255)))


@row("degrade-average", "`average` x8 of 64 x 512 x 512", "numpy copy of the same voxels to float32")
def degrade_average() -> Ratio:
    """Slab means."""
    return degraded("average")


@row("degrade-realistic", "`realistic` x8 of 64 x 512 x 512", "numpy copy of the same voxels to float32")
def degrade_realistic() -> Ratio:
    """Blur, slab means, noise."""
    return degraded("realistic")


def blur_by_scipy() -> Ratio:
    """The blur of `realistic` alone."""
    from scipy.ndimage import gaussian_filter1d

    from vemrecon.degradations.gaussian import blurred

    volume = derive(0, "perf").random((64, 512, 512), np.float32)
    sigmas, radii = (2.0, 0.5, 0.5), (6, 2, 2)

    def plain() -> NDArray[np.float32]:
        found = volume.astype(np.float64)
        for axis, (sigma, radius) in enumerate(zip(sigmas, radii, strict=True)):
            found = gaussian_filter1d(found, sigma, axis=axis, mode="mirror", radius=radius)
        return found.astype(np.float32)

    gap = np.count_nonzero(blurred(volume, sigmas, radii) != plain())
    return Ratio(*in_turns(lambda: blurred(volume, sigmas, radii), plain, 3), f"{gap} voxels")


row("blur", "blur of `realistic`, 64 x 512 x 512", "scipy.ndimage.gaussian_filter1d, axis by axis")(blur_by_scipy)


@row("engine-bicubic", "bicubic x8 of 64 x 512 x 512 to OME-Zarr", "plain zarr copy of the same bytes")
def engine_bicubic() -> Ratio:
    """From noise to files."""
    from engine import measured

    taken: dict[str, list[float]] = {"engine": [], "copy": []}
    with tempfile.TemporaryDirectory() as name:
        for number in range(4):
            for kind, seconds in taken.items():
                folder = Path(name) / f"{kind}{number}"
                folder.mkdir()
                seconds.append(measured(kind, "bicubic", (64, 512, 512), 8, folder)["seconds"])
    return Ratio(float(np.median(taken["engine"])), float(np.median(taken["copy"])))


def engine_against_alone(name: str, shape: tuple[int, int, int], scale: int) -> Ratio:
    """The engine against the method on one tile without halo, scaled to the same voxels."""
    import torch
    from engine import measured, method_and_volume

    from vemrecon.methods.base import Tile, reconstruct_tile
    from vemrecon.volume import Region

    method, observed = method_and_volume(name, shape, scale)
    sides = tuple(min(n, edge) for n, edge in zip(shape, (method.tile.z, method.tile.y, method.tile.x), strict=True))
    voxels = torch.from_numpy(observed.read(Region((0, 0, 0), sides)))[None, None]
    tile = Tile(voxels, observed.require_grid(), (0, 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        ours, alone = in_turns(
            lambda: measured("engine", name, shape, scale, Path(tempfile.mkdtemp(dir=folder))),
            lambda: reconstruct_tile(method, tile),
            1,
        )
    return Ratio(ours, alone * observed.whole.voxels / voxels.numel())


@row(
    "engine-lateral-cnn", "lateral-cnn x4 of 16 x 128 x 128 to OME-Zarr", "the bare network on the voxels without halo"
)
def engine_lateral_cnn() -> Ratio:
    """What halos cost."""
    return engine_against_alone("lateral-cnn", (16, 128, 128), 4)


@row("engine-monai", "lateral-cnn x4 of 16 x 128 x 128 to OME-Zarr", "MONAI's sliding window, in memory", "monai")
def engine_against_monai() -> Ratio:
    """The same network on windows of the same size that overlap by a quarter, MONAI's default."""
    import torch
    from engine import measured, method_and_volume
    from monai.inferers import sliding_window_inference

    from vemrecon.methods.base import Tile, reconstruct_tile

    shape, scale = (16, 128, 128), 4
    method, observed = method_and_volume("lateral-cnn", shape, scale)
    volume = torch.from_numpy(observed.read(observed.whole))[None, None]

    def made(window: torch.Tensor) -> torch.Tensor:
        return reconstruct_tile(method, Tile(window, observed.require_grid(), (0, 0, 0)))[0]

    window = [min(n, edge) for n, edge in zip(shape, (method.tile.z, method.tile.y, method.tile.x), strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        pair = in_turns(
            lambda: measured("engine", "lateral-cnn", shape, scale, Path(tempfile.mkdtemp(dir=folder))),
            torch.inference_mode()(lambda: sliding_window_inference(volume, window, 1, made)),
            1,
        )
    return Ratio(*pair)


TILE = """
import sys, time
sys.path.insert(0, {here!r})
import torch
from engine import method_and_volume
from vemrecon.methods.base import Tile, reconstruct_tile
torch.set_num_threads(1)
method, observed = method_and_volume({name!r}, {shape!r}, 8)
tile = Tile(torch.from_numpy(observed.read(observed.whole))[None, None], observed.grid, (0, 0, 0))
reconstruct_tile(method, tile)
clock = time.perf_counter()
reconstruct_tile(method, tile)
print(time.perf_counter() - clock)
"""


@row("huge-pages", "srunet x8 of a tile of 12 x 64 x 64, huge pages", "the same with pages of 4 kB")
def huge_pages() -> Ratio:
    """In processes of their own, since torch looks once."""
    from vemrecon.processes import HUGE_PAGES

    code = TILE.format(here=str(HERE), name="srunet", shape=(12, 64, 64))
    taken: dict[str, list[float]] = {"1": [], "0": []}
    for _ in range(2):
        for said, seconds in taken.items():
            environ = os.environ | {HUGE_PAGES: said}
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
            seconds.append(float(done.stdout))
    return Ratio(float(np.median(taken["1"])), float(np.median(taken["0"])))


def started(*words: str) -> None:
    """Run Python with these words to its end."""
    subprocess.run([sys.executable, *words], capture_output=True, check=True)


@row("start-help", "`vemrecon --help`", "`import numpy` in a fresh process")
def start_help() -> Ratio:
    """The least that a command takes."""
    return Ratio(*in_turns(lambda: started("-m", "vemrecon", "--help"), lambda: started("-c", "import numpy"), 3))


@row("start-evaluate", "`vemrecon evaluate` of 32 x 64 x 64", "`import lightning.pytorch` in a fresh process")
def start_evaluate() -> Ratio:
    """Imports and work."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{name}.npy") for name in ("truth", "made")]
        for number, file in enumerate(files):
            np.save(file, np.roll(grey((32, 64, 64)), number, 0))
        words = [
            "-m",
            "vemrecon",
            "evaluate",
            *files,
            "--voxel-size",
            "8",
            "8",
            "8",
            "--metrics",
            "psnr",
            "ssim",
            "fsc",
        ]
        return Ratio(*in_turns(lambda: started(*words), lambda: started("-c", "import lightning.pytorch"), 2))


@row("sweep", "12 runs of kernels by `vemrecon bench`", "one process for each run")
def sweep_of_kernels() -> Ratio:
    """On a small volume, one run at a time; of single processes four are measured."""
    import time

    from sweep import VOLUME, words

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "v.npy", grey(VOLUME))
        prepared = [*words(folder, "single", 12, 0), "--prepare"]
        said = subprocess.run(prepared, capture_output=True, text=True, check=True, cwd=folder).stdout
        runs = [line for line in said.splitlines() if (Path(line) / "spec.json").exists()][:4]
        clock = time.perf_counter()
        for run in runs:
            started("-m", "vemrecon", "run", run)
        single = (time.perf_counter() - clock) / len(runs) * 12
        clock = time.perf_counter()
        subprocess.run([*words(folder, "bench", 12, 0), "--jobs", "1"], capture_output=True, check=True, cwd=folder)
        return Ratio(time.perf_counter() - clock, single)
