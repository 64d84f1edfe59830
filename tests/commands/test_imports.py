"""Commands import what they use: libraries that take seconds are there only where something is computed by them."""

import subprocess
import sys

import numpy as np
import pytest

SLOW = {"torch", "torch._dynamo", "lightning", "torchmetrics", "scipy", "dask", "distributed", "matplotlib", "skimage"}
CODE = """
import sys
from vemrecon.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
assert not code, code
print("IMPORTED", *sys.modules)
"""


def imported(*words, folder):
    command = [sys.executable, "-c", CODE, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.partition("IMPORTED")[2].split())


@pytest.fixture
def files(tmp_path):
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(ord(name)).integers(0, 255, (24, 24, 24), np.uint8))
    (tmp_path / "none").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["methods"],
        ["datasets"],
        ["plan", "--dataset", "local:a.npy", "--voxel-size", "8", "8", "8", "--scale", "4", "--methods", "bicubic"],
        ["report", "--runs", "none"],
        ["degrade", "a.npy", "made.zarr", "--scale", "4", "--voxel-size", "8", "8", "8"],
    ],
    ids=lambda words: words[0],
)
def test_commands_that_compute_nothing_with_them_import_no_slow_library(words, files):
    assert not SLOW & imported(*words, folder=files)


def test_evaluate_does_without_what_only_methods_need(files):
    words = ("evaluate", "a.npy", "b.npy", "--voxel-size", "8", "8", "8", "--metrics", "psnr", "ssim", "fsc")
    assert not {"lightning", "torch._dynamo", "dask", "skimage"} & imported(*words, folder=files)
