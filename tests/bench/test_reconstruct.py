"""`vemrecon reconstruct` on files."""

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.volume import Volume, VoxelSize, open_volume
from vemrecon.volume.ome_zarr import copy_to_zarr


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.zarr"
    copy_to_zarr(path, Volume(textured((10, 48, 48)), VoxelSize(40, 10, 10), "stack"), "uint8")
    return path


def run(*words):
    return main([str(word) for word in words])


def test_the_scale_is_the_anisotropy_of_the_voxels(stack, tmp_path):
    assert run("reconstruct", stack, tmp_path / "out.zarr") == 0
    result = open_volume(tmp_path / "out.zarr")
    assert result.shape == (40, 48, 48)
    assert tuple(result.voxel_size) == (10, 10, 10)
    assert result.dtype == np.uint8
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("scale", ["2.5", "3"])
def test_any_scale_and_tiff_output(stack, tmp_path, scale):
    assert run("reconstruct", stack, tmp_path / "out.tif", "--scale", scale) == 0
    assert open_volume(tmp_path / "out.tif").shape == (round(10 * float(scale)), 48, 48)


def test_a_trained_method_reconstructs_and_its_weights_serve_again(stack, tmp_path, capsys):
    words = ["--method", "lateral-cnn", "--set", "width=8", "blocks=1", "patch=32", "budget=20", "batch=4"]
    assert run("reconstruct", stack, tmp_path / "a.zarr", *words, "--train", "smoke") == 0
    assert run("reconstruct", stack, tmp_path / "b.zarr", *words) == 2
    assert "--train cpu" in capsys.readouterr().err
    assert open_volume(tmp_path / "a.zarr").shape == (40, 48, 48)


def test_what_cannot_be_reconstructed_is_refused(stack, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    for words, message in (
        (["--scale", "0"], "scale '0'"),
        (["--method", "bicubik"], "did you mean 'bicubic'"),
        (["--method", "lateral-cnn", "--train", "cpu", "--scale", "2.5"], "whole scale"),
        (["--weights", tmp_path / "none.safetensors", "--method", "lateral-cnn"], "no such file"),
        (["--grid", "middle"], "--grid middle"),
        (["--voxel-size", "10", "10", "10"], "isotropic already"),
        (["--set", "kernal=linear"], "did you mean 'kernel'"),
    ):
        assert run("reconstruct", stack, out, *words) == 2, words
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
        assert not out.exists()
