"""Weights that come with the package: by name, whole or not at all, and told to those who name no method."""

from pathlib import Path

import numpy as np
import pytest
from small_volumes import textured

import vemrecon
from vemrecon.cli import main
from vemrecon.errors import ConfigError, DataError
from vemrecon.methods import shipped_weights as room
from vemrecon.methods.shipped_weights import BoardGain, gain_text, shipped_weights, weights_path
from vemrecon.volume import open_volume

NAME = "isovem-fib25-x8"


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A file of a few sections, in the current folder."""
    monkeypatch.chdir(tmp_path)
    np.save("stack.npy", textured((4, 32, 32)))
    return "stack.npy"


def test_a_name_is_a_file_and_a_path_stays_one(tmp_path, monkeypatch):
    assert weights_path(NAME) == shipped_weights()[NAME].path
    monkeypatch.chdir(tmp_path)
    assert (
        weights_path("runs/weights.safetensors").name == "weights.safetensors"
    )  # is told to be missing where it is read
    (tmp_path / NAME).write_bytes(b"mine")
    assert weights_path(NAME).read_bytes() == b"mine"
    with pytest.raises(ConfigError, match=f"did you mean '{NAME}'"):
        weights_path("isovem-fib25-x9")


def test_a_file_that_is_not_that_of_its_card_is_refused(tmp_path, monkeypatch):
    one = shipped_weights()[NAME]
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(room.protocol, "benchmark_folder", lambda: tmp_path)
    with pytest.raises(DataError, match="is missing"):
        one.verified()
    one.path.write_bytes(b"other")
    with pytest.raises(DataError, match="other sha256"):
        one.verified()


def test_gains_elsewhere_are_a_range():
    card = next(iter(shipped_weights().values()))
    boards = {str(n): BoardGain("", (gain, 0.0, 0.0), seen=n > 1) for n, gain in enumerate((0.5, -0.25, 3.0))}
    assert type(card)(**{**vars(card), "boards": boards}).unseen == "-0.25 to +0.50"
    assert type(card)(**{**vars(card), "boards": {}}).unseen == "not measured"
    assert gain_text(boards["2"]) == "+3.00 [+0.00, +0.00]"


def test_they_are_listed_and_shown(capsys):
    assert main(["weights"]) == 0
    assert NAME in capsys.readouterr().out
    assert main(["weights", NAME]) == 0
    shown = capsys.readouterr().out
    assert "fib25s train" in shown and "CC BY" in shown and "never seen" in shown
    assert main(["weights", "nothing"]) == 2


def test_a_name_brings_its_method(stack, capsys):
    words = ["--voxel-size", "80", "10", "10", "--weights", NAME]
    assert main(["reconstruct", stack, "out.zarr", *words]) == 0
    assert "Other choices" not in capsys.readouterr().out
    file = shipped_weights()[NAME].path
    again = vemrecon.reconstruct(stack, voxel_size=(80, 10, 10), method="isovem", weights=file, progress=False)
    made = open_volume(Path("out.zarr"))
    assert np.array_equal(again, made.read_raw(made.whole))


def test_who_names_no_method_is_told_what_else_there_is(stack, capsys):
    assert main(["reconstruct", stack, "out.tif", "--voxel-size", "80", "10", "10"]) == 0
    told = capsys.readouterr().out
    assert "made by bicubic" in told and f"--weights {NAME}: " in told and "--train cpu" in told
    assert "lateral-cnn-fib25-kept-x8" not in told  # is for kept sections
    words = ["--voxel-size", "80", "10", "10", "--grid", "aligned"]
    assert main(["reconstruct", stack, "kept.tif", *words]) == 0
    assert "lateral-cnn-fib25-kept-x8" in capsys.readouterr().out
    assert main(["reconstruct", stack, "named.tif", "--voxel-size", "80", "10", "10", "--method", "linear"]) == 0
    assert "Other choices" not in capsys.readouterr().out
