"""Rows that no method has made stand in every form of a report, and win nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

from report.report_fakes import METRICS, TASK, score, scores
from rich.console import Console

from vemrecon.bench.result import RunResult
from vemrecon.report import print_table, read_board, write_report

NAME = "truth, smoothed"
WORDS = "the truth itself after a Gaussian low-pass of 1 voxel"
SMOOTHED = {NAME: (score("psnr", "", "volume", 41.25), score("psnr", "", "volume", 43.5, range="span"))}


def test_the_smoothed_truth_is_shown_everywhere_and_ranks_nowhere(make_run, tmp_path: Path):
    for name, value in (("linear", 24.0), ("bicubic", 25.0)):
        make_run(name, rows=scores(value), references=SMOOTHED)
    report = write_report(tmp_path / "runs", tmp_path / "report")
    (table,) = report.board.tables

    assert [row.label for row in table.rows] == ["bicubic", "linear"]
    assert {label for _, _, label in table.best} <= {"linear", "bicubic"}
    (reference,) = table.references
    assert {name: cells["psnr/volume"].value for name, cells in reference.cells.items()} == {"all": 41.25, "span": 43.5}

    text = (tmp_path / "report" / "README.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(f"| *{NAME}*")]
    head = next(line for line in text.splitlines() if line.startswith("| method"))
    assert line.count("|") == head.count("|") and "| 41.25 |" in line and "**" not in line
    assert WORDS in text

    console = Console(file=io.StringIO(), width=250)
    print_table(report, console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert re.search(rf"{NAME} .*41\.25", shown) and WORDS in shown

    page = (tmp_path / "report" / "index.html").read_text()
    feet = re.findall(r"<tfoot>.*?</tfoot>", page, re.DOTALL)
    assert len(feet) == 2 and ">41.25<" in feet[0] and ">43.50<" in feet[1]
    cells = [len(re.findall(r"<t[hd]", row)) for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if NAME in row]
    rows = [len(re.findall(r"<t[hd]", row)) for row in re.findall(r"<tr data-regime.*?</tr>", page, re.DOTALL)]
    assert set(cells) == {rows[0] - 1}, "preset and seeds are one empty cell"

    record = json.loads((tmp_path / "report" / "leaderboard.json").read_text())["tasks"][0]
    assert record["references"][0]["cells"]["all"]["psnr/volume"]["value"] == 41.25
    lines = csv.DictReader(io.StringIO((tmp_path / "report" / "leaderboard.csv").read_text()))
    found = [line for line in lines if line["status"] == "reference"]
    assert [(line["method"], line["dataset"], line["range"], line["value"], line["run_id"]) for line in found] == [
        (NAME, TASK["dataset"], "all", "41.25", ""), (NAME, TASK["dataset"], "span", "43.5", ""),
    ]  # fmt: skip


def test_a_leaderboard_json_gives_it_back(make_run, tmp_path: Path):
    make_run("linear", references=SMOOTHED, pictures=False)
    write_report(tmp_path / "runs", tmp_path / "first")
    again = write_report(tmp_path / "runs", tmp_path / "second", read_board(tmp_path / "first" / "leaderboard.json"))
    assert again.board.tables[0].references[0].cells["span"]["psnr/volume"].value == 43.5
    first, second = ((tmp_path / name / "README.md").read_text() for name in ("first", "second"))
    assert first == second and NAME in first


def test_it_has_the_scores_of_all_metrics_that_runs_were_asked_for(make_run, tmp_path: Path):
    make_run("linear", references=SMOOTHED, metrics=("psnr",))
    make_run("bicubic", references={NAME: (score("ssim", "gaussian11", "mean", 0.9),)})
    make_run("nearest")  # finished before there were such rows
    (table,) = write_report(tmp_path / "runs", tmp_path / "report").board.tables
    cells = table.references[0].cells["all"]
    assert (cells["psnr/volume"].value, cells["ssim/mean"].value) == (41.25, 0.9)
    assert cells["lpips/mean"].value is None and "lpips" in METRICS


def test_a_result_keeps_it(make_run):
    path = make_run("linear", references=SMOOTHED) / "result.json"
    assert RunResult.read(path).references == SMOOTHED
