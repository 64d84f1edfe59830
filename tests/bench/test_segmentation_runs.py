"""Runs that are scored by segmentation: one segmenter for all and further ones, ceiling and floor, reasons, no gaps."""

import json
import shutil

import h5py
import numpy as np
import other_segmenter
import pytest
from small_volumes import textured

from vemrecon.bench.due import weights_arrived
from vemrecon.bench.store import run_folders
from vemrecon.cli import main
from vemrecon.files import sha256_of
from vemrecon.kept import read_mark
from vemrecon.report.segmenter_record import segmenter_records
from vemrecon.segment import network

CARD = """
title: Boxes
licence: none
citation: none
voxel_size: [8, 8, 8]
files:
  grey: {path: grey.npy, labels: {neurons: {path: ids.h5, dataset: ids}}}
segmentation:
  membranes:
    labels: neurons
    train: {grey: [[0, 32], [0, 32], [0, 48]]}
    score: {grey: [[0, 32], [40, 80], [0, 48]]}
default_split: test
splits:
  test: {file: grey, region: [[0, 32], [32, 80], [0, 48]]}
  unlabelled: {file: grey, region: [[0, 32], [0, 32], [0, 48]]}
"""


@pytest.fixture
def boxes(tmp_path, monkeypatch):
    """A dataset of boxes with dark walls, and a function that runs linear and nearest on it."""
    shape, edge = (32, 80, 48), 16
    z, y, x = np.indices(shape) // edge
    ids = 1 + z * 100 + y * 10 + x
    wall = np.zeros(shape, bool)
    for axis in range(3):
        place = np.indices(shape)[axis] % edge
        wall |= (place == 0) | (place == edge - 1)
    grey = np.where(wall, 60, 180) + (textured(shape).astype(float) - 128) / 12
    np.save(tmp_path / "grey.npy", np.clip(grey, 0, 255).astype(np.uint8))
    with h5py.File(tmp_path / "ids.h5", "w") as file:
        file["ids"] = ids.astype(np.uint64)
    (tmp_path / "boxes.yaml").write_text(CARD)
    shutil.copy(other_segmenter.__file__, tmp_path)  # runs are processes of their own
    monkeypatch.chdir(tmp_path)

    def run(*more, metrics=("psnr", "segmentation"), methods=("linear", "nearest")):
        words = ["--dataset", "boxes.yaml", "--scale", "4", "--preset", "smoke", "--jobs", "1"]
        assert main(["bench", *words, "--methods", *methods, "--metrics", *metrics, *more]) == 0
        return {folder.spec.method.name: folder for folder in run_folders(tmp_path / "runs")}

    return run


def values(folder, reference):
    rows = folder.result().scores
    return {row.metric: row.value for row in rows if (row.target, row.reference) == ("membranes", reference)}


def test_runs_are_judged_by_one_segmenter_beside_ceiling_and_floor(boxes, tmp_path):
    before = boxes(metrics=("psnr",))
    assert not list((tmp_path / "runs").glob("segmenters/*"))
    made = {name: (folder.path / "reconstruction.json").stat().st_mtime_ns for name, folder in before.items()}
    folders = boxes(methods=("linear", "nearest", "bicubic"))
    assert all((folders[name].path / "reconstruction.json").stat().st_mtime_ns == made[name] for name in made)
    (facts,) = (tmp_path / "runs").glob("segmenters/*/segmenter.json")
    known = read_mark(facts)
    assert (known["what"], known["preset"], known["voxels"]) == ("membranes", "smoke", 32 * 32 * 48)
    assert not (facts.parent / "last.ckpt").exists()
    for folder in folders.values():
        labels, truth = values(folder, "labels"), values(folder, "truth")
        assert set(labels) == set(truth) == {"iou", "dice", "ap", "are", "voi", "voi_split", "voi_merge", "breaks"}
        assert all(np.isfinite(value) for value in (*labels.values(), *truth.values()))
        assert labels["dice"] == pytest.approx(2 * labels["iou"] / (1 + labels["iou"]))
        beside = json.loads((folder.path / "curves.json").read_text())["segmentation"]["membranes"]
        assert beside["segmenter"] == known and beside["region"] == [[0, 8, 0], [32, 48, 48]]
        with np.load(folder.path / "segmentation-membranes.npz") as pictures:
            assert pictures["found_xy"].shape == (40, 48) and pictures["grey_xz"].shape == (32, 48)
    floor = {r["metric"]: r["value"] for r in beside["references"]["bicubic"] if r["reference"] == "labels"}
    assert floor == values(folders["bicubic"], "labels")
    ceiling = {(row["target"], row["reference"]) for row in beside["references"]["truth"]}
    assert ceiling == {("membranes", "labels")}


def test_a_run_without_labels_or_package_says_why_and_keeps_its_other_scores(boxes, tmp_path, monkeypatch):
    folders = boxes("--split", "unlabelled", methods=("linear",))
    (row,) = [row for row in folders["linear"].result().scores if row.metric == "iou"]
    assert row.value is None and "no voxel of this split is labelled" in row.note
    (tmp_path / "ids.h5").unlink()
    folders = boxes(methods=("nearest",))
    (row,) = [row for row in folders["nearest"].result().scores if row.metric == "iou"]
    assert row.value is None and "ids.h5" in row.note
    assert any(row.metric == "psnr" for row in folders["nearest"].result().scores)


def test_a_dataset_without_labels_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("truth.npy", textured((16, 24, 24)))
    words = ["--dataset", "local:truth.npy", "--voxel-size", "8", "8", "8", "--scale", "4", "--methods", "linear"]
    assert main(["bench", *words, "--metrics", "psnr", "segmentation", "--jobs", "1"]) == 0
    (folder,) = run_folders(tmp_path / "runs")
    (row,) = [row for row in folder.result().scores if row.metric == "iou"]
    assert "no labels" in row.note


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    assert "monai" in network.obstacle() and "vemrecon[segmentation]" in network.obstacle()


def by(folder, name, reference="labels"):
    rows = folder.result().scores
    return {s.metric: s.value for s in rows if (s.target, s.reference) == (f"membranes ({name})", reference)}


def reason(folder, name):
    (row,) = [s for s in folder.result().scores if s.target == f"membranes ({name})"]
    assert row.metric == "iou" and row.value is None
    return row.note


def test_a_segmenter_of_another_package_judges_beside_our_own(boxes, tmp_path):
    other_segmenter.WEIGHTS.write_text("0.47")
    folders = boxes(methods=("linear",))
    before, own = folders["linear"].spec.run_id, values(folders["linear"], "labels")
    words = ("--segmenter", "other_segmenter.Dark", "other_segmenter:Crooked")
    folders = boxes(*words, methods=("linear", "nearest"))
    assert folders["linear"].spec.run_id == before and values(folders["linear"], "labels") == own
    for folder in folders.values():
        labels, truth = by(folder, "Dark"), by(folder, "Dark", "truth")
        assert set(labels) == set(truth) == {"iou", "dice", "ap", "are", "voi", "voi_split", "voi_merge", "breaks"}
        assert labels["are"] == 0  # its own instances are those of the labels
        assert "must have the shape (32, 40, 48) and lie in [0, 1]" in reason(folder, "Crooked")
        beside = json.loads((folder.path / "curves.json").read_text())["segmentation"]["membranes (Dark)"]
        assert beside["segmenter"]["weights_sha256"] == sha256_of(other_segmenter.WEIGHTS)
        assert beside["segmenter"]["code_sha256"] == sha256_of(tmp_path / "other_segmenter.py")
        edited = {**beside, "segmenter": {**beside["segmenter"], "code_sha256": "another"}}
        first, second = segmenter_records({"segmentation": {"before": beside, "after": edited}}).values()
        assert first.key != second.key  # so that a table says that different ones have judged
        assert (folder.path / "segmentation-membranes-Dark.npz").is_file()
    kept = by(folders["linear"], "Dark")
    page = (tmp_path / "runs" / "report" / "README.md").read_text()
    assert "Segmentation: membranes (Dark)" in page and "Segmentation: membranes\n" in page
    assert "other\\_segmenter.Dark; nowhere, BSD-3-Clause; learned on other boxes; weights" in page
    # what was scored by it keeps these scores when other ones are asked for
    folders = boxes(methods=("linear",), metrics=("psnr", "ssim"))
    assert by(folders["linear"], "Dark") == kept
    assert values(folders["linear"], "labels") == own


def test_scores_of_another_segmenter_come_with_its_weights(boxes):
    words = ("--segmenter", "other_segmenter.Dark", "other_segmenter.Glia")
    folder = boxes(*words, methods=("linear",))["linear"]
    assert "the weights threshold.txt of Dark are missing (nowhere, BSD-3-Clause)" in reason(folder, "Dark")
    (glia,) = [s for s in folder.result().scores if s.target == "glia (Glia)"]
    assert "no labels" in glia.note
    assert not weights_arrived(folder)
    other_segmenter.WEIGHTS.write_text("0.47")
    assert weights_arrived(folder)
    folder = boxes(*words, methods=("linear",))["linear"]
    assert 0 < by(folder, "Dark")["iou"] < 1
    assert not weights_arrived(folder)


def test_a_segmenter_that_fails_loses_no_other_score(boxes):
    other_segmenter.WEIGHTS.write_text("0.47")
    folder = boxes("--segmenter", "other_segmenter.Failing", methods=("linear",))["linear"]
    assert "the segmenter other_segmenter.Failing failed: out of memory" in reason(folder, "Failing")
    assert values(folder, "labels")["iou"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--segmenter", "Dark"], "or a class path, PACKAGE.Class"),
        (["--segmenter", "nothing.Dark"], "no module 'nothing' is installed"),
        (["--segmenter", "other_segmenter.WEIGHTS"], "is not a subclass of vemrecon.segment.PretrainedSegmenter"),
        (["--segmenter", "other_segmenter.Mute"], "does not say all that it must: probability, weights"),
        (["--segmenter", "other_segmenter.Dark", "elsewhere.Dark"], "no two may be one"),
        (["--segmenter", "other_segmenter.Dark", "--metrics", "psnr"], "add that to --metrics"),
    ],
)
def test_a_segmenter_that_cannot_be_asked_is_refused_in_one_line(boxes, words, said, capsys):
    base = [
        "bench",
        "--dataset",
        "boxes.yaml",
        "--scale",
        "4",
        "--methods",
        "linear",
        "--metrics",
        "psnr",
        "segmentation",
    ]
    assert main([*base, *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
