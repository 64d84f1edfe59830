"""`vemrecon figure` as a user meets it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.kept import CRC
from vemrecon.volume import Volume, VoxelSize, write_volume

SIZE = ["--voxel-size", "8", "8", "8"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Path:
    """Folder with a volume and finished runs of two methods on it."""
    folder = tmp_path_factory.mktemp("figure")
    np.save(folder / "truth.npy", textured((24, 40, 48)))
    words = ["bench", "--dataset", f"local:{folder / 'truth.npy'}", "--scale", "4", "--degradation", "subsample"]
    words += ["--methods", "nearest", "linear", "--metrics", "psnr", "ssim", "--runs", str(folder / "runs")]
    assert main([*words, "--jobs", "1", *SIZE]) == 0
    return folder


def refused(capsys, *words) -> str:
    capsys.readouterr()
    assert main(["figure", *(str(word) for word in words)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_a_figure_of_finished_runs_has_their_scores(bench, tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("vemrecon.commands.figure.write_figure", lambda path, plate, style: seen.append(plate))

    words = ["figure", str(tmp_path / "a.png"), "--runs", str(bench / "runs"), "--errors", "--methods", "linear"]
    assert main(words) == 0

    (plate,) = seen
    assert [line.label for line in plate.lines] == ["Truth", "Observed", "linear"]
    assert plate.titles == ("xy, z = 14", "xz, y = 20", "yz, x = 24")
    assert all(" dB · SSIM 0." in picture.caption for picture in plate.lines[2].pictures)
    truth = np.load(bench / "truth.npy")
    assert np.array_equal(plate.lines[0].pictures[1].values, truth[:, 20, :])
    assert np.array_equal(plate.lines[1].pictures[1].values, truth[::4, 20, :])
    assert not plate.lines[2].errors[1].values[::4].any(), "linear keeps what was recorded"
    assert "z = 14, y = 20, x = 24" in capsys.readouterr().out


def test_a_figure_of_files_needs_no_runs(bench, tmp_path, capsys):
    truth, out = bench / "truth.npy", tmp_path / "a.pdf"
    main(["degrade", str(truth), str(tmp_path / "obs.tif"), "--scale", "4", *SIZE])
    main(["reconstruct", str(tmp_path / "obs.tif"), str(tmp_path / "rec.zarr"), "--voxel-size", "32", "8", "8"])

    words = ["--truth", truth, "--observed", tmp_path / "obs.tif", "--volumes", tmp_path / "rec.zarr"]
    words += ["--labels", "Bicubic (ours)", "--columns", "methods", "--at", 9, 20, 24, "--planes", "xz", *SIZE]
    assert main(["figure", str(out), *(str(word) for word in words)]) == 0

    assert out.read_bytes().startswith(b"%PDF")
    assert "z = 9, y = 20, x = 24; voxels of 8 x 8 x 8 nm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.jpg"], "written as .png or .pdf"),
        (["a.png", "--task", "other"], "unknown task 'other'"),
        (["a.png", "--methods", "linaer"], "did you mean 'linear'"),
        (["a.png", "--planes", "xx"], "unknown plane 'xx'"),
        (["a.png", "--at", "1", "2", "900"], "--at 1 2 900 lies outside"),
        (["a.png", "--at", "1", "2", "z"], "whole number"),
        (["a.png", "--size", "0"], "at least 1"),
        (["a.png", "--scale-bar", "4000"], "--scale-bar 4000: too long"),
        (["a.png", "--scale-bar", "-3"], "above 0"),
        (["a.png", "--columns", "rows"], "unknown kind of --columns"),
        (["a.png", "--labels", "one"], "1 given for 2 reconstructions"),
        (["a.png", "--truth", "b.h5"], "name them with --volumes"),
        (["a.png", "--volumes", "b.h5"], "b.h5: no such file"),
        (["a.png", "--volumes", "b.h5", "--methods", "linear"], "without --volumes"),
        (["a.png", "--uncertainty"], "no run in"),
        (["a.png", "--uncertainty", "u.zarr"], "files belong to --volumes"),
        (["a.png", "--volumes", "b.h5", "--uncertainty"], "name a file for each of --volumes"),
        (["a.png", "--volumes", "b.h5", "--uncertainty", "u.zarr", "none"], "2 given for 1 --volumes"),
        (["a.png", "--spectrum", "--errors"], "--errors belongs to pictures"),
        (["a.png", "--spectrum", "--columns", "methods"], "--columns belongs to pictures"),
        (["a.png", "--spectrum"], "--metrics fsc"),
        (["a.png", "--spectrum", "--volumes", "b.h5"], "give --truth"),
    ],
)
def test_bad_figures_are_refused_in_one_line(bench, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)

    assert message in refused(capsys, *words, "--runs", bench / "runs")

    assert not list(tmp_path.iterdir())


def test_runs_that_are_not_there_are_refused_in_one_line(bench, tmp_path, capsys):
    out = tmp_path / "a.png"
    assert "no such folder of runs" in refused(capsys, out, "--runs", tmp_path / "none")
    (tmp_path / "none").mkdir()
    assert "no finished runs" in refused(capsys, out, "--runs", tmp_path / "none")


def test_of_several_tasks_one_must_be_chosen(bench, tmp_path, capsys):
    runs = tmp_path / "runs"
    shutil.copytree(bench / "runs", runs)
    (result,) = runs.glob("*/linear-*/result.json")
    name = result.parent.parent.name
    other = runs / name.replace("x4", "x8") / result.parent.name / "result.json"
    other.parent.mkdir(parents=True)
    changed = result.read_text().replace('"scale": 4.0', '"scale": 8.0').replace(f'"{CRC}"', '"no_checksum"')
    other.write_text(changed.replace(result.parent.name[-12:], "0" * 12))

    error = refused(capsys, tmp_path / "a.png", "--runs", runs)

    assert f"holds 2 tasks; choose one with --task: {name}, {other.parent.parent.name}" in error
    assert main(["figure", str(tmp_path / "a.png"), "--runs", str(runs), "--task", name, "--dpi", "50"]) == 0


def test_a_missing_reconstruction_is_named(bench, tmp_path, capsys):
    runs = tmp_path / "runs"
    shutil.copytree(bench / "runs", runs)
    (gone,) = runs.glob("*/nearest-*/reconstruction.zarr")
    shutil.rmtree(gone)

    error = refused(capsys, tmp_path / "a.png", "--runs", runs)

    assert "reconstruction.zarr: no such folder; leave nearest out with --methods" in error


SPREAD = np.random.default_rng(0).random((24, 40, 48), np.float32) * np.float32(3 / 255)


@pytest.fixture
def spread(tmp_path) -> Path:
    """A file of uncertainty of up to three grey levels."""
    path = tmp_path / "spread.zarr"
    write_volume(path, Volume(SPREAD, VoxelSize(8, 8, 8), "spread"), np.dtype(np.float32), None)
    return path


def test_uncertainty_of_files_is_shown_where_there_is_one(bench, spread, tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("vemrecon.commands.figure.write_figure", lambda path, plate, style: seen.append(plate))

    words = ["figure", str(tmp_path / "a.png"), "--truth", str(bench / "truth.npy"), "--at", "10", "20", "24", *SIZE]
    words += ["--volumes", str(bench / "truth.npy"), str(bench / "truth.npy")]
    assert main([*words, "--uncertainty", str(spread), "none"]) == 0

    (plate,) = seen
    _, first, second = plate.lines
    assert np.allclose(first.uncertainty[0].values, 255 * SPREAD[10], rtol=1e-6), "grey levels, not rounded"
    assert second.uncertainty == ()
    assert plate.uncertainty_limit == 4
    assert "colours of uncertainty saturate at 4 grey levels" in capsys.readouterr().out


def test_uncertainty_that_runs_have_kept_is_shown(bench, spread, tmp_path, monkeypatch):
    runs, seen = tmp_path / "runs", []
    monkeypatch.setattr("vemrecon.commands.figure.write_figure", lambda path, plate, style: seen.append(plate))
    shutil.copytree(bench / "runs", runs)
    (folder,) = runs.glob("*/nearest-*")
    shutil.copytree(spread, folder / "uncertainty.zarr")

    assert main(["figure", str(tmp_path / "a.png"), "--runs", str(runs), "--uncertainty"]) == 0

    assert {line.label: len(line.uncertainty) for line in seen[0].lines}["nearest"] == 3
    assert sum(bool(line.uncertainty) for line in seen[0].lines) == 1


def test_spectra_of_files_are_those_that_a_run_of_them_keeps(tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("vemrecon.commands.figure_spectrum.write_spectra", lambda path, one, style: seen.append(one))
    truth = tmp_path / "truth.npy"
    np.save(truth, textured((32, 40, 48)))
    words = ["bench", "--dataset", f"local:{truth}", "--scale", "4", "--degradation", "average", "--methods", "linear"]
    assert main([*words, "--metrics", "fsc", "--runs", str(tmp_path / "runs"), "--jobs", "1", *SIZE]) == 0
    main(["degrade", str(truth), str(tmp_path / "obs.tif"), "--scale", "4", "--degradation", "average", *SIZE])
    (made,) = tmp_path.glob("runs/*/linear-*/reconstruction.zarr")

    assert main(["figure", str(tmp_path / "a.pdf"), "--spectrum", "--runs", str(tmp_path / "runs")]) == 0
    words = [
        "--truth",
        str(truth),
        "--observed",
        str(tmp_path / "obs.tif"),
        "--volumes",
        str(made),
        "--labels",
        "linear",
        *SIZE,
    ]
    assert main(["figure", str(tmp_path / "a.pdf"), "--spectrum", *words]) == 0

    of_run, of_files = seen
    assert of_run.labels == of_files.labels == ("linear",)
    assert set(of_run.charts) == {"axial (z)", "lateral (y, x)"}
    assert of_run.charts == of_files.charts
    assert of_run.limits == of_files.limits == {"axial (z)": 0.5 / 32}, "1/nm, of sections that lie 32 nm apart"
    assert "Nyquist limit of the observed sections, 64 nm" in capsys.readouterr().out
