"""The command line as a user meets it: bad input is one clear line and exit code 2."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile
from small_volumes import textured

from vemrecon.cli import COMMANDS, main
from vemrecon.volume import open_volume


@pytest.fixture
def files(tmp_path):
    """A good volume and many bad ones."""
    grey = textured((24, 40, 40))
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file["raw"] = grey
        file["raw"].attrs["resolution"] = (8, 8, 8)
    data = (tmp_path / "good.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[: len(data) // 2])
    np.save(tmp_path / "nosize.npy", grey)
    np.save(tmp_path / "nan.npy", np.where(grey == grey.max(), np.nan, grey / 255).astype(np.float32))
    np.save(tmp_path / "inf.npy", np.where(grey == grey.max(), np.inf, grey / 255).astype(np.float32))
    np.save(tmp_path / "empty.npy", grey[:0])
    np.save(tmp_path / "constant.npy", np.full_like(grey, 9))
    np.save(tmp_path / "thin.npy", grey[:3])
    np.save(tmp_path / "labels.npy", grey.astype(np.int32))
    colours = np.random.default_rng(0).integers(0, 255, (5, 8, 8, 3), np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    tifffile.imwrite(tmp_path / "flat.tif", grey[0])
    whole = tmp_path / "whole.tif"
    tifffile.imwrite(whole, grey, compression="zlib", photometric="minisblack")
    (tmp_path / "cut.tif").write_bytes(whole.read_bytes()[:9000])
    (tmp_path / "folder.h5").mkdir()
    return tmp_path


def refused(capsys, *words):
    """Exit code 2 and one line on standard error; gives the line."""
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


BAD_FILES = {
    "missing.h5": "no such file",
    "folder.h5": "is a folder",
    "cut.h5": "truncated",
    "cut.tif": "truncated",
    "rgb.tif": "colour image",
    "flat.tif": "2D image",
    "nan.npy": "NaN or infinite",
    "inf.npy": "NaN or infinite",
    "empty.npy": "empty volume",
    "constant.npy": "constant volume",
    "thin.npy": "fewer than the scale",
    "labels.npy": "not a grey-level type",
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", ["bench", "degrade", "evaluate"])
def test_bad_files_are_refused_in_one_line(files, capsys, command, name):
    size = ["--voxel-size", 8, 8, 8]
    runs = files / "runs"
    words = {
        "bench": ["bench", "--dataset", f"local:{files / name}", "--scale", 4, "--runs", runs, *size],
        "degrade": ["degrade", files / name, files / "out.zarr", "--scale", 4, *size],
        "evaluate": ["evaluate", files / name, files / name, "--scale", 4, "--degradation", "subsample", *size],
    }[command]
    assert BAD_FILES[name] in refused(capsys, *words)
    assert not (files / "out.zarr").exists()
    assert not list(runs.glob("*/*/spec.json"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scale", "0"], "scale '0'"),
        (["--scale", "-1"], "scale '-1'"),
        (["--scale", "1e9"], "scale '1e9'"),
        (["--scale", "abc"], "scale 'abc'"),
        (["--scale", "2.5", "--degradation", "subsample"], "must be whole"),
        (["--mode", "tranductive"], "did you mean 'transductive'"),
        (["--task", "referense"], "did you mean 'reference'"),
        (["--retry", "fail"], "did you mean 'failed'"),
        (["--log", "wand"], "did you mean 'wandb'"),
        (["--dataset", "phantm"], "did you mean 'phantom'"),
        (["--dataset", "phantom", "--split", "tets"], "did you mean 'test'"),
        (["--methods", "bicubik"], "did you mean 'bicubic'"),
        (["--metrics", "psnrr"], "did you mean 'psnr'"),
        (["--preset", "papr"], "did you mean 'paper'"),
        (["--degradation", "averag"], "did you mean 'average'"),
        (["--suite", "defualt"], "did you mean 'default'"),
        (["--set", "nonsense"], "METHOD.ARGUMENT=VALUE"),
        (["--set", "vemamba.dim=3"], "unknown method or degradation in --set"),
        (["--devices", "gpu"], "--devices gpu"),
        (["--jobs", "0"], "at least 1"),
        (["--seeds", "one"], "must be a whole number"),
        (["--voxel-size", "8", "8", "x"], "--voxel-size x: must be a number"),
        (["--voxel-size", "8", "8"], "must be 3 values, not 2"),
        (["--voxel-size", "0", "8", "8"], "must be positive"),
        (["--wrong"], "--wrong"),
    ],
)
def test_bad_options_are_refused_in_one_line(tmp_path, capsys, words, message):
    assert message in refused(capsys, "bench", "--runs", tmp_path / "runs", *words)


def test_wrong_checksum_is_refused(tmp_path, capsys):
    target = tmp_path / "fib25" / "training_sample2" / "raw.h5"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"not the file")
    words = ["bench", "--dataset", "fib25s", "--data-root", tmp_path, "--runs", tmp_path / "runs"]
    assert "sha256" in refused(capsys, *words)


def test_a_dataset_that_is_not_there_says_where_to_put_it(tmp_path, capsys):
    error = refused(capsys, "bench", "--dataset", "fib25s", "--data-root", tmp_path, "--runs", tmp_path / "runs")
    assert "training_sample2" in error and "--data-root" in error and "sha256" in error


def test_unknown_voxel_size_is_asked_for(files, capsys):
    words = ["bench", "--dataset", f"local:{files / 'nosize.npy'}", "--scale", 4, "--runs", files / "runs"]
    assert "--voxel-size" in refused(capsys, *words)


def test_outputs_that_cannot_be_written_are_refused(files, capsys):
    good = files / "good.h5"
    assert "choose one of these names" in refused(capsys, "degrade", good, files / "out.png", "--scale", 4)
    assert "does not exist" in refused(capsys, "degrade", good, files / "no" / "out.zarr", "--scale", 4)
    (files / "there.zarr").mkdir()
    assert "already exists" in refused(capsys, "degrade", good, files / "there.zarr", "--scale", 4)
    assert "is a file" in refused(capsys, "bench", "--runs", good)


def test_commands_without_runs_say_so(tmp_path, capsys):
    for command in ("status", "report"):
        assert "no such folder of runs" in refused(capsys, command, "--runs", tmp_path / "none")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_of_every_command_explains_its_options(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([*([command] if command else []), "--help"])
    assert ended.value.code in (0, None)
    text = capsys.readouterr().out
    assert "usage:" in text and "default: null" not in text


def test_list_plan_and_report_import_no_torch(tmp_path):
    code = (
        "import sys; from vemrecon.cli import main\n"
        f"assert [main(w) for w in (['methods'], ['datasets'], ['plan', '--runs', r'{tmp_path}'], "
        f"['report', '--runs', r'{tmp_path}'], ['status', '--runs', r'{tmp_path}'])] == [0] * 5\n"
        "heavy = {'torch', 'lightning', 'torchmetrics', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_imports_torchvision():
    code = "import sys, vemrecon.bench.phases, vemrecon.methods.base, vemrecon.metrics.evaluate\n"
    code += "assert 'torchvision' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["average", "subsample", "realistic"])
@pytest.mark.parametrize("axis", ["z", "y"])
def test_degrade_and_evaluate_work_on_files(files, capsys, kind, axis):
    out = files / "observed.tif"
    assert (
        main(["degrade", str(files / "good.h5"), str(out), "--scale", "4", "--degradation", kind, "--axis", axis]) == 0
    )
    volume = open_volume(out)
    truth = open_volume(files / "good.h5")
    assert volume.dtype == np.uint8
    assert volume.shape["zyx".index(axis)] == truth.shape["zyx".index(axis)] // 4
    assert tuple(volume.voxel_size) == ((32, 8, 8) if axis == "z" else (8, 32, 8))


def test_evaluate_writes_scores_as_json(files, capsys):
    truth = files / "good.h5"
    np.save(files / "other.npy", np.clip(textured((24, 40, 40)).astype(int) + 3, 0, 255).astype(np.uint8))
    out = files / "scores.json"
    words = ["evaluate", truth, files / "other.npy", "--metrics", "psnr", "ssim", "fsc", "--json", out]
    assert main([str(w) for w in words]) == 0
    scores = json.loads(out.read_text())["scores"]
    volume = next(s for s in scores if s["metric"] == "psnr" and s["plane"] == "volume")
    assert volume["value"] == pytest.approx(10 * np.log10(255**2 / 9), abs=0.2)
    shorter = textured((20, 40, 40))
    np.save(files / "short.npy", shorter)
    assert "whole runs" in refused(capsys, "evaluate", truth, files / "other.npy", "--metrics", "segmentation")
    assert "shape" in refused(capsys, "evaluate", truth, files / "short.npy", "--metrics", "psnr")
    assert main([str(w) for w in ["evaluate", truth, files / "short.npy", "--metrics", "psnr", "--trim"]]) == 0
