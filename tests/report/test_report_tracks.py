from __future__ import annotations

import csv
from pathlib import Path

from report.report_fakes import scores

from vemrecon.bench.track import Track
from vemrecon.report import write_report
from vemrecon.report.leaderboard import build
from vemrecon.report.load import load_results, read_board
from vemrecon.report.records import csv_text, json_text
from vemrecon.report.track import track_lines

TWO_MINUTES = {"track": Track(2.0)}
ON_TWO_DEVICES = {"train_seconds": 61.0, "train_device_seconds": 122.0, "reconstruct_seconds": 1.0}
SLOW = {"train_seconds": 150.0, "train_device_seconds": 150.0, "reconstruct_seconds": 1.0}
PSNR = ("psnr", "volume", "all", "all")


def test_rows_of_a_track_stand_apart_with_what_learns_nothing_as_a_reference(make_run, tmp_path: Path):
    make_run("bicubic", rows=scores(24))
    make_run("vemamba", regime="self", preset="cpu", rows=scores(27))
    facts = {"regime": "self", "preset": "cpu", "spec": TWO_MINUTES}
    for seed in (0, 1):
        make_run("vemamba", rows=scores(26), seed=seed, costs=ON_TWO_DEVICES, **facts)
    make_run("isovem", rows=scores(25), costs=SLOW, **facts)
    board = build(load_results(tmp_path / "runs"))
    usual, track = board.tables
    assert [row.label for row in usual.rows] == ["bicubic", "vemamba"]
    assert [row.label for row in track.rows] == ["bicubic", "vemamba", "isovem"]
    assert track.track == Track(2.0) and track.title.endswith("2 min of training") and track.key != usual.key
    assert not board.warnings
    lines = track_lines(track)
    assert "every training had 2.0 min of one device" in lines[0]
    assert lines[1] == "Measured: isovem 2.5 min, vemamba 2.0 min."
    assert lines[2].endswith("not quite a fair row: isovem.") and not track_lines(usual)
    rows = list(csv.DictReader(csv_text(board).splitlines()))
    assert {row["track_minutes"] for row in rows} == {"", "2.0"}
    whole = [row["run_id"] for row in rows if (row["metric"], row["plane"], row["range"], row["block"]) == PSNR]
    assert len(whole) == len(set(whole)) == 5, "no run twice"
    (tmp_path / "leaderboard.json").write_text(json_text(board))
    again = build(read_board(tmp_path / "leaderboard.json"))
    assert [[row.label for row in table.rows] for table in again.tables] == [
        [row.label for row in table.rows] for table in board.tables
    ]


def test_every_form_of_the_report_says_what_the_trainings_had(make_run, tmp_path: Path):
    make_run("bicubic")
    make_run("isovem", regime="self", costs=SLOW, spec=TWO_MINUTES)
    write_report(tmp_path / "runs", tmp_path / "report")
    for name in ("README.md", "index.html"):
        assert "Measured: isovem 2.5 min." in (tmp_path / "report" / name).read_text()
