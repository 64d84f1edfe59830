"""`vemrecon reconstruct` on files."""

import os

import numpy as np
import pytest
from PIL import Image
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
        (["--grid", "middle"], "unknown grid 'middle'"),
        (["--voxel-size", "10", "10", "10"], "isotropic already"),
        (["--set", "kernal=linear"], "did you mean 'kernel'"),
    ):
        assert run("reconstruct", stack, out, *words) == 2, words
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
        assert not out.exists()


def test_another_request_never_goes_on_with_what_an_interrupted_one_left(stack, tmp_path, monkeypatch):
    from vemrecon.infer import reconstruct as engine

    calm = engine.create_zarr

    def stop(*words, **more):
        calm(*words, **more)
        raise KeyboardInterrupt

    out = tmp_path / "out.zarr"
    monkeypatch.setattr(engine, "create_zarr", stop)
    assert run("reconstruct", stack, out, "--method", "nearest") == 130
    (left,) = tmp_path.glob(".out.zarr.work-*")
    (left / "blocks.log").write_text("0\n")  # as if every block had been finished
    monkeypatch.setattr(engine, "create_zarr", calm)
    assert run("reconstruct", stack, out, "--method", "linear") == 0
    result = open_volume(out)
    truth = open_volume(stack)
    assert np.abs(result.read(result.whole).mean() - truth.read(truth.whole).mean()) < 0.01


PLUS = ["--method", "isovem-plus", "--train", "smoke", "--scale", "4"]


def test_missing_sections_are_filled_and_compared_with_the_recorded_ones(stack, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    assert run("reconstruct", stack, out, *PLUS, "--missing-sections", "3,7") == 0
    said = capsys.readouterr().out
    assert "section 3 filled" in said and "section 7 filled" in said and "dB against the recorded one" in said
    assert open_volume(out).shape == (40, 48, 48)


def test_blank_sections_have_nothing_to_compare_with(tmp_path, capsys):
    voxels = textured((10, 48, 48))
    voxels[4] = 0
    np.save(tmp_path / "blank.npy", voxels)
    assert run("reconstruct", tmp_path / "blank.npy", tmp_path / "out.zarr", *PLUS, "--missing-sections", "4") == 0
    assert "recorded section is blank" in capsys.readouterr().out
    result = open_volume(tmp_path / "out.zarr")
    assert result.read(result.whole)[16:20].mean() > 0.1, "the hole is filled before the reconstruction"


def test_uncertainty_is_written_beside_the_reconstruction(stack, tmp_path, capsys):
    words = [*PLUS, "--set", "rotations=[0,1,4,5]", "--uncertainty", tmp_path / "std.tif"]
    assert run("reconstruct", stack, tmp_path / "out.zarr", *words) == 0
    spread = open_volume(tmp_path / "std.tif")
    assert spread.shape == (40, 48, 48)
    assert 0 < spread.read(spread.whole).mean() < 0.3
    assert run("reconstruct", stack, tmp_path / "a.zarr", "--uncertainty", tmp_path / "b.zarr") == 2
    assert "has no uncertainty" in capsys.readouterr().err


def test_a_kernel_fills_missing_sections_linearly(tmp_path, capsys):
    voxels = textured((10, 48, 48))
    np.save(tmp_path / "whole.npy", voxels)
    words = ["--scale", "4", "--grid", "aligned", "--method", "linear", "--missing-sections", "4,5"]
    assert run("reconstruct", tmp_path / "whole.npy", tmp_path / "out.zarr", *words) == 0
    assert "section 4 filled" in capsys.readouterr().out
    result = open_volume(tmp_path / "out.zarr")
    made = result.read(result.whole)
    below, above = voxels[3] / 255, voxels[6] / 255
    for z, share in ((16, 1 / 3), (20, 2 / 3)):
        assert np.abs(made[z] - ((1 - share) * below + share * above)).max() < 1 / 255


def test_missing_sections_that_cannot_be_filled_are_refused(stack, tmp_path, capsys):
    for words, message in (
        ([*PLUS, "--missing-sections", "99"], "not in the volume"),
        ([*PLUS, "--missing-sections", "a"], "section numbers"),
        ([*PLUS, "--missing-sections", "0,1,2,3,4,5"], "too many"),
        (["--method", "lateral-cnn", "--train", "smoke", "--missing-sections", "3"], "cannot fill missing sections"),
    ):
        assert run("reconstruct", stack, tmp_path / "out.zarr", *words) == 2
        assert message in capsys.readouterr().err


def test_damage_that_passes_into_the_result_is_said(tmp_path, capsys):
    voxels = np.maximum(textured((16, 64, 64)), 1)
    voxels[4] = 0
    voxels[8:] = voxels[8:] // 2
    voxels[12] = np.roll(voxels[12], 6, 1)
    np.save(tmp_path / "v.npy", voxels)
    assert run("reconstruct", tmp_path / "v.npy", tmp_path / "out.zarr", "--scale", "2") == 0
    said = capsys.readouterr().err
    for words in ("section 4: black", "section 8: mean steps from", "12 by 0 6"):
        assert words in said


def sections_in(folder, voxels, numbers):
    folder.mkdir()
    for z in numbers:
        Image.fromarray(voxels[z]).save(folder / f"s{z:02}.png")
    return folder


def test_missing_and_black_sections_are_found_and_filled(tmp_path, capsys):
    voxels = np.maximum(textured((12, 48, 48)), 1)
    voxels[3] = 0
    folder = sections_in(tmp_path / "stack", voxels, [z for z in range(12) if z != 7])
    words = ["--voxel-size", "40", "10", "10"]
    assert run("reconstruct", folder, tmp_path / "out.zarr", *words) == 2
    assert "7: no file of these numbers" in capsys.readouterr().err
    assert run("reconstruct", folder, tmp_path / "out.zarr", *words, *PLUS, "--missing-sections", "auto") == 0
    said = capsys.readouterr()
    assert "section 3 filled" in said.out and "section 7 filled" in said.out and "black" not in said.err
    result = open_volume(tmp_path / "out.zarr")
    assert result.read(result.whole)[28:32].mean() > 0.1


def test_automatic_filling_needs_a_method_that_fills(tmp_path, capsys):
    folder = sections_in(tmp_path / "stack", np.maximum(textured((8, 48, 48)), 1), [0, 1, 2, 4, 5, 6, 7])
    words = ["--voxel-size", "40", "10", "10", "--missing-sections", "auto", "--method", "emgauss"]
    assert run("reconstruct", folder, tmp_path / "out.zarr", *words) == 2
    assert "cannot fill missing sections" in capsys.readouterr().err


def test_without_the_missing_sections_a_part_is_reconstructed_in_its_place(tmp_path):
    folder = sections_in(tmp_path / "stack", np.maximum(textured((12, 48, 48)), 1), [z for z in range(12) if z != 2])
    words = ["--voxel-size", "40", "10", "10", "--missing", "exclude"]
    assert run("reconstruct", folder, tmp_path / "out.zarr", *words) == 0
    result = open_volume(tmp_path / "out.zarr")
    assert (result.shape, result.origin) == ((36, 48, 48), (3 * 40 - 15, 0, 0))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--train", "cpu"],
            "--train: method 'bicubic' does not learn; choose one that does, such as --method lateral",
        ),
        (["--method", "linear", "--train", "paper"], "--train: method 'linear' does not learn"),
        (["--method", "lanczos3", "--weights", "w.safetensors"], "--weights: method 'lanczos3' learns nothing before"),
        (["--method", "emgauss", "--weights", "w.safetensors"], "--weights: method 'emgauss' learns nothing before"),
        (["--uncertainty", "b.zarr"], "--uncertainty: method 'bicubic' has no uncertainty"),
        (["--method", "lateral-cnn", "--train", "smoke", "--uncertainty", "b.zarr"], "method 'lateral-cnn' has no"),
        ([*PLUS, "--set", "rotations=[0]", "--uncertainty", "b.zarr"], "method 'isovem-plus' has no uncertainty"),
        (["--method", "emgauss", "--missing-sections", "3"], "method 'emgauss' cannot fill"),
        (["--method", "isovem", "--train", "smoke", "--missing-sections", "3"], "method 'isovem' cannot fill"),
        (["--method", "d2r-aenet", "--train", "smoke", "--set", "diffusion.budgett=3"], "did you mean 'budget'"),
        (["--seed", "-1"], "--seed -1: must be at least 0"),
    ],
)
def test_what_a_method_cannot_do_is_refused_before_anything_is_read(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert run("reconstruct", "not-there.zarr", "out.zarr", *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1, error
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_what_it_takes_and_writes_nothing(stack, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert run("reconstruct", stack, tmp_path / "out.zarr", "--dry-run") == 0
    said = capsys.readouterr().out
    for words in ("40 x 48 x 48 voxels of uint8", "in a file", "free", "1 tiles", "--memory"):
        assert words in said, said
    learned = ["--method", "lateral-cnn", "--train", "paper", "--set", "width=8", "blocks=1"]
    assert run("reconstruct", stack, tmp_path / "out.tif", *learned, "--dry-run") == 0
    assert "written twice" in capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == before


def test_a_memory_that_is_too_small_is_refused(stack, tmp_path, capsys):
    assert run("reconstruct", stack, tmp_path / "out.zarr", "--memory", "1MiB") == 2
    assert "GiB; allow more" in capsys.readouterr().err
    assert run("reconstruct", stack, tmp_path / "out.zarr", "--memory", "64GiB") == 0


def test_a_part_is_reconstructed_alone(stack, tmp_path, capsys):
    assert run("reconstruct", stack, tmp_path / "whole.zarr") == 0
    assert run("reconstruct", stack, tmp_path / "part.tif", "--region", "2:7", ":", "16:40") == 0
    whole, part = (open_volume(tmp_path / name) for name in ("whole.zarr", "part.tif"))
    assert np.array_equal(part.read_raw(part.whole), whole.read_raw(whole.whole)[8:28, :, 16:40])
    assert part.origin == (whole.origin[0] + 80, 0, 160)
    assert run("reconstruct", stack, tmp_path / "none.tif", "--region", "2:70", ":", ":") == 2
    assert "along z it must be FIRST:END inside 0:10" in capsys.readouterr().err


def test_a_changed_section_of_a_folder_is_seen_by_a_reconstruction_that_goes_on(tmp_path, monkeypatch):
    from vemrecon.own import reconstruction

    folder = sections_in(tmp_path / "stack", np.maximum(textured((8, 48, 48)), 1), range(8))
    words = ["reconstruct", folder, tmp_path / "out.tif", "--voxel-size", "40", "10", "10", "--method", "nearest"]

    def stop(*given, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reconstruction, "write_volume", stop)
        assert run(*words) == 130
    times = folder.stat()
    Image.fromarray(np.full((48, 48), 99, np.uint8)).save(folder / "s03.png")
    os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run(*words) == 0
    result = open_volume(tmp_path / "out.tif")
    assert (result.read_raw(result.whole)[12:16] == 99).all()


def test_two_reconstructions_never_share_a_working_folder(stack, tmp_path, monkeypatch, capsys):
    from vemrecon.own import reconstruction

    words, codes = ["reconstruct", stack, tmp_path / "out.tif"], []
    calm = reconstruction.write_volume

    def again(*given, **more):
        codes.append(run(*words))
        calm(*given, **more)

    monkeypatch.setattr(reconstruction, "write_volume", again)
    assert run(*words) == 0
    assert codes == [2] and "in use by process" in capsys.readouterr().err
    assert not list(tmp_path.glob(".out.tif*"))
