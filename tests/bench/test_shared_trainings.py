"""One method of each kind learns the same in one process and in two that share every batch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_volumes import textured

KINDS = {
    "lateral-cnn": "a network",
    "vemamba": "momentum contrast, then a network",
    "cyclegan-ir": "a GAN",
    "irsde": "a diffusion",
    "d2r-srunet": "a diffusion, what it restores, and a network that learns from that",
}
MORE = {"d2r-srunet": ["--set", "d2r-srunet.distil.budget=1"]}
"""Adam makes a whole step of the last bit of a gradient near zero, as those of the student are whose last layer begins
at zero: such weights differ from the first batch on, and all others after some more."""
SIGNS = {"d2r-srunet": 1e-3}
"""Share of the weights of a method whose gradient is so near to zero."""
LOCAL = ("student.plateau.total",)  # of one process; the mean over all is taken between epochs


def stages(folder, method, count):
    """Weights of all stages of a training that so many processes share."""
    runs = folder / str(count)
    words = [sys.executable, "-m", "vemrecon.cli", "bench", "--dataset", f"local:{folder / 'v.npy'}", "--scale", "4"]
    words += ["--methods", method, "--voxel-size", "8", "8", "8", "--metrics", "psnr", "--runs", str(runs)]
    words += ["--mode", "transductive", "--preset", "smoke", "--devices-per-run", str(count), "--kernels", "asked"]
    words += MORE.get(method, [])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=500)
    logs = "".join(path.read_text() for path in runs.glob("*/*/log.txt"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    return {path.parent.name: load_file(path) for path in runs.glob("*/*/train/*/stage.safetensors")}


@pytest.mark.slow
@pytest.mark.parametrize("method", KINDS)
def test_two_processes_learn_what_one_does(tmp_path, method):
    np.save(tmp_path / "v.npy", textured((96, 96, 96)))
    alone, shared = (stages(tmp_path, method, count) for count in (1, 2))
    assert alone and alone.keys() == shared.keys()
    for stage, wanted in alone.items():
        names = sorted(wanted.keys() - set(LOCAL))
        apart = torch.cat([(shared[stage][name].double() - wanted[name].double()).abs().flatten() for name in names])
        assert (apart > 1e-5).double().mean() <= SIGNS.get(method, 0), f"{stage}: {apart.max()}"
