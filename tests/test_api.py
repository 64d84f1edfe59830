"""The functions of Python do what the commands do, with files and with arrays of every library."""

import os
import subprocess
import sys
import warnings

import dask.array
import numpy as np
import pytest
import torch
import zarr
from small_volumes import textured

import vemrecon
from vemrecon.cli import main
from vemrecon.errors import ConfigError, DataError, VemreconError
from vemrecon.volume import Volume, open_volume

TRUTH = textured((24, 40, 48))
STACK = textured((8, 40, 48), 1)
SIZE = (40, 10, 10)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def test_names_are_listed_and_nothing_heavy_is_imported_for_them():
    assert {"open", "degrade", "reconstruct", "evaluate", "load_results"} <= set(dir(vemrecon))
    code = "import sys, vemrecon; dir(vemrecon); print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2
    with pytest.raises(AttributeError, match="has no attribute 'recnstruct'"):
        _ = vemrecon.recnstruct


@pytest.mark.parametrize("library", ["numpy", "zarr", "dask", "torch", "path", "opened"])
def test_arrays_of_every_library_give_what_the_command_gives(tmp_path, library):
    np.save(tmp_path / "v.npy", STACK)
    words = ["--voxel-size", *map(str, SIZE), "--method", "lanczos3"]
    assert main(["reconstruct", str(tmp_path / "v.npy"), str(tmp_path / "made.tif"), *words]) == 0
    given = {
        "numpy": lambda: STACK,
        "zarr": lambda: zarr.array(STACK, chunks=(4, 16, 16)),
        "dask": lambda: dask.array.from_array(STACK, chunks=(3, 20, 20)),
        "torch": lambda: torch.from_numpy(STACK),
        "path": lambda: tmp_path / "v.npy",
        "opened": lambda: vemrecon.open(tmp_path / "v.npy"),
    }[library]()
    made = vemrecon.reconstruct(given, voxel_size=SIZE, method="lanczos3", progress=False)
    expected = open_volume(tmp_path / "made.tif")
    assert made.dtype == np.uint8 and np.array_equal(made, expected.read_raw(expected.whole))


def test_files_larger_than_memory_go_to_files(tmp_path):
    np.save(tmp_path / "v.npy", STACK)
    out = vemrecon.reconstruct(tmp_path / "v.npy", voxel_size=SIZE, out=tmp_path / "made.zarr", progress=False)
    made = vemrecon.open(out)
    assert isinstance(made, Volume) and made.shape == (32, 40, 48) and tuple(made.voxel_size) == (10, 10, 10)
    assert np.array_equal(
        made.read_raw(made.whole), vemrecon.reconstruct(STACK, voxel_size=SIZE, scale=4, progress=False)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.zarr", "v.npy"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_the_type_stays(dtype):
    top = {"uint8": 255, "uint16": 65535, "int16": 255, "float32": 1, "float64": 1}[dtype]
    given = (STACK / 255 * top).astype(dtype)
    span = (0, top) if dtype == "int16" else None
    made = vemrecon.reconstruct(given, scale=2, method="nearest", intensity_range=span, progress=False)
    assert made.dtype == dtype and np.allclose(made[::2], given, atol=top * 1e-6)


def test_there_and_back_is_scored(tmp_path):
    observed = vemrecon.degrade(TRUTH, 4, "subsample", voxel_size=8)
    assert np.array_equal(observed, TRUTH[::4])
    path = vemrecon.degrade(TRUTH, 4, "subsample", voxel_size=8, out=tmp_path / "observed.zarr")
    made = vemrecon.reconstruct(path, method="linear", progress=False)
    assert np.array_equal(made[::4], TRUTH[::4]), "the file knows that its sections were kept"
    rows = vemrecon.evaluate(TRUTH, made, voxel_size=8, metrics=["psnr"], scale=4, degradation="subsample")
    (volume,) = [row["value"] for row in rows if (row["plane"], row["range"]) == ("volume", "all")]
    assert volume == pytest.approx(-10 * np.log10(np.mean((TRUTH / 255 - made / 255) ** 2)), abs=1e-4)
    assert all(isinstance(value, str | float | int | None) for row in rows for value in row.values())


def test_a_method_learns_from_the_array_itself():
    small = {"width": 8, "blocks": 1, "patch": 32, "budget": 10, "batch": 2}
    made = vemrecon.reconstruct(
        STACK, voxel_size=SIZE, method="lateral-cnn", train="smoke", settings=small, progress=False
    )
    assert made.shape == (32, 40, 48)


def test_what_is_wrong_is_said_as_on_the_command_line(tmp_path):
    for error, message, call in (
        (ConfigError, "voxel size", lambda: vemrecon.reconstruct(STACK, progress=False)),
        (DataError, "0 4095 is likely", lambda: vemrecon.degrade(TRUTH.astype("u2") * 16, 4, voxel_size=8)),
        (ConfigError, "did you mean 'bicubic'", lambda: vemrecon.reconstruct(STACK, scale=2, method="bicubik")),
        (DataError, "three axes", lambda: vemrecon.reconstruct(STACK[0], scale=2)),
        (DataError, "no such file", lambda: vemrecon.open(tmp_path / "none.tif")),
        (
            ConfigError,
            "cannot fill",
            lambda: vemrecon.reconstruct(STACK, scale=2, method="emgauss", missing_sections=[3]),
        ),
        (ConfigError, "does not learn", lambda: vemrecon.reconstruct(STACK, scale=2, train="cpu")),
        (ConfigError, "other edges", lambda: vemrecon.reconstruct(STACK, voxel_size={"z": 40})),
        (ConfigError, "must be z, y or x", lambda: vemrecon.degrade(TRUTH, 4, axis="w")),
        (ConfigError, "three slices", lambda: vemrecon.reconstruct(STACK, scale=2, region=(slice(0, 4),))),
        (ConfigError, "three slices", lambda: vemrecon.reconstruct(STACK, scale=2, region=(slice(0, 4, 2), ":", ":"))),
        (ConfigError, "inside 0:8", lambda: vemrecon.reconstruct(STACK, scale=2, region=(slice(-4, None), ":", ":"))),
        (ConfigError, "has no uncertainty", lambda: vemrecon.reconstruct(STACK, scale=2, uncertainty=True)),
        (ConfigError, "path with out=", lambda: vemrecon.reconstruct(STACK, scale=2, uncertainty="spread.tif")),
        (ConfigError, "path with out=", lambda: vemrecon.reconstruct(STACK, scale=2, uncertainty=True, out="m.tif")),
        (ConfigError, "give out=", lambda: vemrecon.reconstruct(STACK, scale=2, memory="1GiB")),
        (ConfigError, "size such as", lambda: vemrecon.reconstruct(STACK, scale=2, memory="much", out="m.tif")),
        (DataError, "same voxels", lambda: vemrecon.evaluate(TRUTH, STACK, voxel_size=8)),
    ):
        with pytest.raises(error, match=message):
            call()
    assert issubclass(ConfigError, VemreconError)


@pytest.mark.parametrize(
    "part", [(slice(2, 7), ":", slice(8, None)), ("2:7", ":", "8:"), "2:7 : 8:", [slice(2, 7, 1), slice(None), ":"]]
)
def test_a_part_is_the_same_as_in_the_whole(tmp_path, part):
    how = {"voxel_size": SIZE, "method": "lanczos3", "progress": False}
    whole = vemrecon.reconstruct(STACK, **how)
    first = 0 if isinstance(part, list) else 8
    assert np.array_equal(vemrecon.reconstruct(STACK, region=part, **how), whole[8:28, :, first:])
    out = vemrecon.reconstruct(STACK, region=part, out=tmp_path / "part.zarr", memory="4GiB", **how)
    made = vemrecon.open(out)
    assert np.array_equal(made.read_raw(made.whole), whole[8:28, :, first:]) and made.origin[0] == 8 * 10 - 15


def test_the_uncertainty_comes_beside_the_reconstruction(tmp_path):
    np.save(tmp_path / "v.npy", STACK)
    how = {"voxel_size": SIZE, "method": "isovem-plus", "train": "smoke", "scale": 4, "progress": False}
    how["settings"] = {"rotations": [0, 1, 4, 5]}
    made, spread = vemrecon.reconstruct(tmp_path / "v.npy", uncertainty=True, **how)
    assert made.dtype == np.uint8 and spread.dtype == np.float32 and made.shape == spread.shape == (32, 40, 48)
    assert 0 < spread.mean() < 0.2 and spread.min() >= 0
    paths = tmp_path / "made.zarr", tmp_path / "spread.zarr"
    assert vemrecon.reconstruct(tmp_path / "v.npy", uncertainty=paths[1], out=paths[0], **how) == paths
    stored = [vemrecon.open(path) for path in paths]
    assert np.array_equal(stored[0].read_raw(stored[0].whole), made)
    assert np.abs(stored[1].read(stored[1].whole) - spread).max() <= 0.51 / 255


def test_damage_is_a_warning():
    voxels = np.maximum(STACK, 1)
    voxels[3] = 0
    with pytest.warns(UserWarning, match="section 3: black"):
        vemrecon.reconstruct(voxels, scale=2, progress=False)


def test_one_pair_has_one_score_whatever_the_types():
    made = np.clip(TRUTH.astype(int) + np.random.default_rng(0).integers(-9, 10, TRUTH.shape), 0, 255)
    twelve = (np.rint(TRUTH / 255 * 4095)).astype(np.uint16)
    first = vemrecon.evaluate(TRUTH, made.astype(np.uint8), voxel_size=8, metrics=["psnr"])
    second = vemrecon.evaluate(twelve, made / 255, voxel_size=8, metrics=["psnr"], intensity_range="auto")
    assert [row["value"] for row in first] == pytest.approx([row["value"] for row in second], abs=0.02)


def test_results_of_runs_are_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("truth.npy", TRUTH)
    words = ["--dataset", "local:truth.npy", "--voxel-size", "8", "8", "8", "--scale", "4", "--metrics", "psnr"]
    assert main(["bench", *words, "--methods", "linear", "nearest"]) == 0
    rows = vemrecon.load_results("runs")
    assert {row["method"] for row in rows} == {"linear", "nearest"} and {row["status"] for row in rows} == {"done"}
    again = vemrecon.load_results("runs/report/leaderboard.json")
    values = [sorted(row["value"] for row in one if row["method"] == "linear") for one in (rows, again)]
    assert values[0] == values[1]
    assert vemrecon.load_results("none") == []


def stopped_before_writing(monkeypatch, call):
    """A call that is interrupted when all blocks are made, and its output is not written yet."""
    from vemrecon.own import reconstruction

    def stop(*words, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reconstruction, "write_volume", stop)
        with pytest.raises(KeyboardInterrupt):
            call()


def test_nothing_goes_on_with_what_another_array_or_file_left(tmp_path, monkeypatch):
    other = 255 - STACK

    def made_of(given):
        words = {"voxel_size": SIZE, "method": "nearest", "progress": False}
        return vemrecon.reconstruct(given, out=tmp_path / "made.tif", **words)

    def check(given):
        found = open_volume(made_of(given))
        assert np.array_equal(found.read_raw(found.whole)[::4], other)
        (tmp_path / "made.tif").unlink()

    stopped_before_writing(monkeypatch, lambda: made_of(STACK))
    check(other)
    np.save(tmp_path / "v.npy", STACK)
    times = (tmp_path / "v.npy").stat()
    stopped_before_writing(monkeypatch, lambda: made_of(tmp_path / "v.npy"))
    np.save(tmp_path / "v.npy", other)
    os.utime(tmp_path / "v.npy", ns=(times.st_atime_ns, times.st_mtime_ns))
    check(tmp_path / "v.npy")


def test_volumes_that_lie_apart_are_not_scored_without_a_word(tmp_path):
    np.save(tmp_path / "v.npy", STACK)
    words = ["--voxel-size", *map(str, SIZE), "--region", "2:6", ":", ":"]
    assert main(["reconstruct", str(tmp_path / "v.npy"), str(tmp_path / "part.zarr"), *words]) == 0
    whole = vemrecon.reconstruct(STACK, voxel_size=SIZE, progress=False)
    with pytest.warns(UserWarning, match=r"lies 6\.5 0 0 voxels"):
        vemrecon.evaluate(whole[:16], tmp_path / "part.zarr", voxel_size=10, metrics=["psnr"])


def test_only_what_is_whole_in_both_is_scored(tmp_path):
    for name, lost in (("a", 0), ("b", 2)):
        zarr.create_array(tmp_path / f"{name}.zarr", data=TRUTH, chunks=(8, 40, 48))
        (tmp_path / f"{name}.zarr" / "c" / str(lost) / "0" / "0").unlink()
    first, second = (vemrecon.open(tmp_path / f"{name}.zarr", missing="exclude", voxel_size=8) for name in "ab")
    assert first.shape == second.shape == (16, 40, 48), "alike, but of other places"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        rows = vemrecon.evaluate(first, second, metrics=["psnr"])
    assert any("scored is z[8,16)" in str(one.message) for one in said)
    (row,) = [row for row in rows if row["plane"] == "volume"]
    assert row["note"] == "identical"
