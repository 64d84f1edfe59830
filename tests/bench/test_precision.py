"""Networks that compute in bfloat16 while they reconstruct: asked for, allowed by the card, and said by the row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.scope import cannot_compute
from vemrecon.bench.spec import BF16
from vemrecon.bench.store import run_folders
from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.methods import short_floats
from vemrecon.methods.card import MethodCard
from vemrecon.report.row_labels import label_variants
from vemrecon.volume import open_volume

METHOD = """
import torch

from vemrecon.methods import Method, MethodCard, interpolated


class Blurring(Method):
    card = MethodCard(
        title="Linear interpolation, less a third of what a blur changes",
        regime="none",
        bf16={"one": {"psnr": 0.001, "ssim": 0.0001}, "other": {"psnr": -0.002, "ssim": 0}},
    )

    def reconstruct(self, tile):
        found = interpolated(tile.observed, tile.grid)
        blurred = torch.nn.functional.conv3d(found, torch.full((1, 1, 3, 3, 3), 1 / 27), padding=1)
        return found - (found - blurred) / 3
"""
HERE = short_floats.computes_in_bfloat16(torch.device("cpu"))
MEASURED = {"fib25s": {"psnr": 0.001, "ssim": 1e-5}, "hemibrains": {"psnr": -0.002, "ssim": -1e-5}}


def planned(precision: str, *methods: str):
    request = Request(dataset="phantom", scale=4, methods=methods, kernels="asked", precision=precision)
    return [run.folder.spec for run in plan(resolve([request], Setup(Path("runs")), fetch=False))]


def test_bfloat16_is_for_methods_whose_card_says_what_it_changes():
    usual, short = (planned(precision, "linear", "lateral-cnn") for precision in ("32", "bf16"))
    assert [spec.precision for spec in usual] == ["32", "32"] and [spec.precision for spec in short] == ["32", "bf16"]
    assert short[0].run_id == usual[0].run_id and short[1].run_id != usual[1].run_id
    assert short[1].learning_id == usual[1].learning_id, "what is learned from is the same"
    with pytest.raises(ConfigError, match="nobody has measured what it changes for linear, srunet"):
        planned("bf16", "linear", "srunet")


def test_a_precision_may_be_a_number_and_is_one_of_two():
    assert Request(dataset="phantom", methods="linear", precision=32).precision == "32"
    with pytest.raises(ConfigError, match="precision"):
        Request(dataset="phantom", methods="linear", precision="16")


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({"fib25s": MEASURED["fib25s"]}, "two tissues are needed"),
        ({**MEASURED, "hemibrains": {"psnr": 0.02, "ssim": 0}}, "on hemibrains it changes psnr by 0.02"),
        ({**MEASURED, "hemibrains": {"psnr": float("nan"), "ssim": 0}}, "on hemibrains it changes psnr by nan"),
        ({**MEASURED, "hemibrains": {"psnr": 0.0}}, "hemibrains must say psnr and ssim"),
    ],
)
def test_a_card_allows_it_only_by_small_numbers_from_two_tissues(measured, words):
    assert MethodCard("ours", "self", bf16=MEASURED).bf16 == MEASURED
    with pytest.raises(ConfigError, match=words):
        MethodCard("ours", "self", bf16=measured)


def test_a_device_that_would_only_imitate_it_declines(monkeypatch):
    usual, short = planned("32", "lateral-cnn")[0], planned("bf16", "lateral-cnn")[0]
    monkeypatch.setattr(short_floats, "computes_in_bfloat16", lambda device: False)
    assert cannot_compute(usual, "cpu") is None
    assert cannot_compute(short, "cpu") == "this cpu does not compute in bfloat16"
    monkeypatch.setattr(short_floats, "computes_in_bfloat16", lambda device: True)
    assert cannot_compute(short, "cpu") is None


def test_a_row_says_its_precision():
    usual = planned("32", "lateral-cnn")[0]
    short = replace(usual, precision=BF16)
    assert label_variants({"a": short}) == {"a": "lateral-cnn (precision=bf16)"}
    assert label_variants({"a": short, "b": usual}) == {"a": "lateral-cnn (precision=bf16)", "b": "lateral-cnn"}


@pytest.mark.skipif(not HERE, reason="this processor does not compute in bfloat16")
def test_a_run_in_bfloat16_has_nearly_the_same_voxels_and_says_so(tmp_path, monkeypatch):
    (tmp_path / "blurring_method.py").write_text(METHOD)
    np.save(tmp_path / "truth.npy", textured((24, 40, 40)).astype(np.float32) / 255)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--dataset", "local:truth.npy", "--voxel-size", "8", "8", "8", "--intensity-range", "0", "1"]
    words += ["--scale", "4", "--jobs", "1", "--methods", "blurring_method.Blurring", "--metrics", "psnr"]
    for precision in ("32", "bf16"):
        assert main(["bench", *words, "--precision", precision]) == 0
    results = {folder.spec.precision: folder for folder in run_folders(Path("runs"))}
    assert set(results) == {"32", "bf16"}
    whole, short = (open_volume(results[one].path / "reconstruction.zarr") for one in ("32", "bf16"))
    difference = np.abs(whole.read_raw(whole.whole) - short.read_raw(short.whole))
    assert 0 < difference.max() < 2**-8
