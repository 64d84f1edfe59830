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
LOCAL = ("student.plateau.total",)  # of one process; the mean over all is taken between epochs


def stages(folder, method, count):
    """Weights of all stages of a training that so many processes share."""
    runs = folder / str(count)
    words = [sys.executable, "-m", "vemrecon.cli", "bench", "--dataset", f"local:{folder / 'v.npy'}", "--scale", "4"]
    words += ["--methods", method, "--voxel-size", "8", "8", "8", "--metrics", "psnr", "--runs", str(runs)]
    words += ["--mode", "transductive", "--preset", "smoke", "--devices-per-run", str(count)]
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
        for name in wanted.keys() - set(LOCAL):
            torch.testing.assert_close(shared[stage][name], wanted[name], atol=1e-5, rtol=0, msg=f"{stage}: {name}")
