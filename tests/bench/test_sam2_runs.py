"""Runs that are scored by objects that SAM 2 follows: the same prompts for all, ceiling and floor, reasons for blanks.

A stand-in takes the place of the package; no value here is one of SAM 2.
"""

import json

import h5py
import numpy as np
import pytest
import sam2_stand_in as stand_in
from small_volumes import textured

from vemrecon.bench.due import to_do
from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.worker import recorded
from vemrecon.cli import main
from vemrecon.judges.tracking import NO_OBJECT
from vemrecon.progress import silent
from vemrecon.report import write_report
from vemrecon.segment import tracker

CARD = """
title: Columns
licence: none
citation: none
voxel_size: [8, 8, 8]
tasks: [reference, lateral]
files:
  grey: {path: grey.npy, defects: [5], labels: {neurons: {path: ids.h5, dataset: ids}}}
segmentation:
  membranes:
    labels: neurons
    train: {grey: [[0, 24], [0, 16], [0, 64]]}
    score: {grey: [[0, 24], [40, 112], [0, 64]]}
default_split: test
splits:
  test: {file: grey, region: [[0, 24], [32, 112], [0, 64]]}
  unlabelled: {file: grey, region: [[0, 24], [0, 32], [0, 64]]}
"""
SHAPE = (24, 112, 64)
ROWS, COLUMNS = (40, 52, 76, 112), (0, 14, 34, 64)
"""Walls between nine columns along z, which drift along x; the smallest is one too many."""


@pytest.fixture
def columns(tmp_path, monkeypatch):
    """A dataset of drifting columns with dark walls, and a function that plans and does runs on it."""
    z, y, x = np.indices(SHAPE)
    x = (x - z // 3) % SHAPE[2]
    row, column = np.digitize(y, ROWS[1:]), np.digitize(x, COLUMNS[1:])
    ids = np.where(y < ROWS[0], 0, 1 + 3 * row + column)
    wall = np.isin(y, [r + d for r in ROWS for d in (-1, 0)]) | np.isin(x, [c + d for c in COLUMNS for d in (-1, 0)])
    wall |= x == SHAPE[2] - 1
    grey = np.where(wall, 60, 170) + (textured(SHAPE).astype(float) - 128) / 12
    grey[5] = 0  # damaged
    np.save(tmp_path / "grey.npy", np.clip(grey, 0, 255).astype(np.uint8))
    with h5py.File(tmp_path / "ids.h5", "w") as file:
        file["ids"] = ids.astype(np.uint64)
    (tmp_path / "columns.yaml").write_text(CARD)
    monkeypatch.chdir(tmp_path)

    def planned_runs(*methods, split=None, task=None):
        methods = methods or ("linear",)
        request = Request(("columns.yaml",), split, task, (4,), methods=methods, metrics=("psnr", "sam2"))
        return plan(resolve([request], Setup(tmp_path / "runs"), fetch=True))

    def run(*methods, **options):
        done = {}
        for planned in planned_runs(*methods, **options):
            planned.folder.create()
            planned.job.write(planned.folder.path / "job.json")
            assert recorded(planned.folder, silent) == 0
            done[planned.folder.spec.method.name] = planned.folder
        return done

    run.plan = planned_runs
    return run


@pytest.fixture
def videos(monkeypatch, tmp_path):
    """The stand-in with its weights, and all videos that it is shown."""
    stand_in.put_weights(monkeypatch, tmp_path / "cache")
    return stand_in.with_stand_in(monkeypatch)


def tracks(folder):
    return {(row.target, row.reference.value): row for row in folder.result().scores if row.metric == "sam2_iou"}


def blank(folder):
    """The reason why there is no score; other scores do not suffer."""
    assert any(row.metric == "psnr" and row.value for row in folder.result().scores)
    assert "sam2" not in json.loads((folder.path / "curves.json").read_text())
    (row,) = tracks(folder).values()
    assert row.value is None
    return row.note


def test_objects_are_followed_through_reconstructions_between_ceiling_and_floor(columns, videos):
    folders = columns("linear", "nearest", "bicubic")
    for folder in folders.values():
        found = tracks(folder)
        assert list(found) == [("neurons", "labels"), ("neurons", "truth")]
        assert {(row.plane, row.unit, row.count) for row in found.values()} == {("xy", "", 8)}
        assert all(0 < row.value < 1 for row in found.values())
        beside = json.loads((folder.path / "curves.json").read_text())["sam2"]["neurons"]
        assert beside["region"] == [[0, 8, 0], [24, 80, 64]] and beside["sections"] == 23
        assert beside["tracker"]["weights_sha256"] == tracker.CHECKPOINT.sha256
        assert beside["tracker"]["checkpoint"] == "sam2.1_hiera_small.pt" and "package" in beside["tracker"]
    (ceiling,) = beside["references"]["truth"]
    assert (ceiling["target"], ceiling["reference"]) == ("neurons", "labels") and 0 < ceiling["value"] < 1
    assert beside["references"]["bicubic"] == [row.as_dict() for row in tracks(folders["bicubic"]).values()]
    assert tracks(folders["nearest"])["neurons", "truth"] != tracks(folders["linear"])["neurons", "truth"]


def test_the_report_shows_tracks_among_the_other_scores(columns, videos, tmp_path):
    columns("linear", "nearest")
    (table,) = write_report(tmp_path / "runs", tmp_path / "report").board.tables
    shown = [column for column in table.columns.every if column.key.startswith("sam2_iou")]
    assert [(column.heading, column.better, column in table.main) for column in shown] == [
        ("SAM 2 neurons", "high", True),
        ("SAM 2 IoU neurons, against truth", "high", False),
    ]
    assert {key for _, key, _ in table.best} >= {column.key for column in shown}


def test_every_volume_gets_the_same_prompts_the_largest_objects(columns, videos):
    folder = columns("linear")["linear"]
    beside = json.loads((folder.path / "curves.json").read_text())["sam2"]["neurons"]
    assert beside["objects"] == [9, 6, 8, 7, 5, 3, 4, 2], "1 is the smallest of nine"
    assert len(videos) == 3, "the truth, the floor, and the reconstruction"
    with h5py.File("ids.h5") as file:
        first = file["ids"][0, 40:112]
    for video in videos:
        assert len(video["frames"]) == 23, "without the damaged section"
        assert [mask.sum() for mask in video["masks"].values()] == [(first == n).sum() for n in beside["objects"]]
        assert (video["masks"][0] == (first == 9)).all()
    truth = np.load("grey.npy")[[z for z in range(24) if z != 5], 40:112]
    assert np.abs(np.stack(videos[0]["frames"]).astype(int) - truth).max() <= 2, "JPEG of the highest quality"


def test_references_are_tracked_once_for_all_runs_of_a_task(columns, videos, tmp_path):
    columns("linear")
    (place,) = (tmp_path / "runs").glob("*/sam2-neurons-*")
    made = (place / "references.json").stat().st_mtime_ns
    columns("nearest", "bicubic")
    assert len(videos) == 3 + 2 and (place / "references.json").stat().st_mtime_ns == made


def test_lateral_tasks_follow_the_same_sections(columns, videos):
    folder = columns("linear", task="lateral")["linear"]
    assert list(tracks(folder)) == [("neurons", "labels"), ("neurons", "truth")]
    assert {np.stack(video["frames"]).shape for video in videos} == {(23, 72, 64)}


def test_without_the_package_the_cell_is_blank_with_the_reason(columns, monkeypatch, tmp_path):
    stand_in.put_weights(monkeypatch, tmp_path / "cache")
    stand_in.without_package(monkeypatch)
    note = blank(columns()["linear"])
    assert note.startswith("SAM 2 is not available: its package cannot be imported (")
    assert "`vemrecon fetch sam2`" in note and "\n" not in note


def test_without_the_checkpoint_nothing_is_downloaded_and_the_cell_is_blank(columns, monkeypatch, tmp_path):
    checkpoint = stand_in.put_weights(monkeypatch, tmp_path / "cache")
    checkpoint.unlink()
    videos = stand_in.with_stand_in(monkeypatch)
    note = blank(columns()["linear"])
    assert "sam2.1_hiera_small.pt are not in torch's cache; `vemrecon fetch sam2`" in note
    assert not videos and not list(checkpoint.parent.iterdir())


def test_another_file_is_never_used_as_the_checkpoint(columns, monkeypatch, tmp_path, videos):
    tracker.CHECKPOINT.path.write_bytes(b"other weights")
    assert "is damaged or another file; remove it" in blank(columns()["linear"])
    assert not videos


def test_blanks_are_filled_when_the_checkpoint_has_come(columns, monkeypatch, videos):
    weights = tracker.CHECKPOINT.path.read_bytes()
    tracker.CHECKPOINT.path.unlink()
    blank(columns()["linear"])
    assert not to_do(columns.plan())
    tracker.CHECKPOINT.path.write_bytes(weights)
    assert len(to_do(columns.plan())) == 1
    assert len(tracks(columns()["linear"])) == 2
    assert not to_do(columns.plan())


def test_without_labels_or_objects_the_cell_is_blank_with_the_reason(columns, videos):
    assert "no voxel of this split is labelled" in blank(columns(split="unlabelled")["linear"])
    with h5py.File("ids.h5", "r+") as file:
        file["ids"][0] = 0
    assert blank(columns("nearest")["nearest"]) == NO_OBJECT
    assert not videos


def test_a_dataset_without_labels_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("truth.npy", textured((16, 24, 24)))
    words = ["--dataset", "local:truth.npy", "--voxel-size", "8", "8", "8", "--scale", "4", "--methods", "linear"]
    assert main(["bench", *words, "--metrics", "psnr", "sam2", "--jobs", "1"]) == 0
    line = next(line for line in (tmp_path / "runs/report/leaderboard.csv").read_text().splitlines() if "sam2" in line)
    assert "the dataset has no labels" in line
