"""Runs that are scored by segmentation: one segmenter for all, ceiling and floor, reasons instead of gaps."""

import json

import h5py
import numpy as np
import pytest
from small_volumes import textured

from vemrecon.bench.store import run_folders
from vemrecon.cli import main
from vemrecon.kept import read_mark
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
