"""Where presets deviate from what they are named after, on everything that a report writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from report.report_fakes import scores
from report.test_report_overview import lines_of, runs_of

from vemrecon.bench.result import Deviating, PresetFacts
from vemrecon.report import read_board, write_report
from vemrecon.report.leaderboard import build
from vemrecon.report.overview import overviews

FACTS = PresetFacts(
    (Deviating("loss", "squares <b>alone</b>"), Deviating("model choice", "the last one")), ("inner.crop",)
)


def test_a_row_names_its_deviations_on_the_page_in_markdown_and_json(make_run, tmp_path: Path):
    make_run("linear", rows=scores(24.0))
    make_run("isovem", regime="self", preset="paper", rows=scores(25.0), preset_facts=FACTS)

    write_report(tmp_path / "runs", tmp_path / "report")
    text = (tmp_path / "report/README.md").read_text()
    (line,) = [line for line in text.splitlines() if "deviates" in line]
    assert "in loss, model choice; see vemrecon methods isovem --preset paper --scale 4" in line
    page = (tmp_path / "report/index.html").read_text()
    assert "squares &lt;b&gt;alone&lt;/b&gt;" in page
    path = tmp_path / "report/leaderboard.json"
    rows = {row["method"]["name"]: row for task in json.loads(path.read_text())["tasks"] for row in task["rows"]}
    assert rows["isovem"]["deviations"][1] == {"at": "model choice", "words": "the last one"}
    assert rows["linear"]["deviations"] == []
    assert {made.preset_facts for _, made in read_board(path)} == {FACTS, PresetFacts()}


def test_a_method_whose_arguments_depend_on_the_task_is_one_line_of_the_overview():
    blocks = np.random.default_rng(0).normal(22, 1, 8)
    kernel = runs_of({"kernel": {0: blocks - 1, 1: blocks - 1}})
    first = runs_of({"net": {0: blocks}}, arguments={"width": 8, "inner": {"crop": 16, "rate": 1}}, preset_facts=FACTS)
    second = runs_of({"net": {1: blocks}}, arguments={"width": 8, "inner": {"crop": 32, "rate": 1}}, preset_facts=FACTS)
    other = runs_of({"net": {1: blocks}}, arguments={"width": 9, "inner": {"crop": 32, "rate": 1}}, preset_facts=FACTS)
    (overview,) = overviews(build(kernel + first + second))
    assert lines_of(overview)["net"].count == 2
    (overview,) = overviews(build(kernel + first + second + other))
    assert sorted(line.count for line in overview.lines) == [1, 2, 2]
