"""Rows say which weights their trainings have kept, where these were chosen."""

from __future__ import annotations

import json
from pathlib import Path

from report.report_fakes import result_of

from vemrecon.bench.result import RunResult
from vemrecon.methods.weight_choice import ChosenWeights
from vemrecon.report import write_report
from vemrecon.report.kept_weights import weights_lines
from vemrecon.report.leaderboard import build
from vemrecon.report.load import load_results, read_board
from vemrecon.report.records import json_text

BEST = ChosenWeights("best", 1200, 1500, "psnr", 27.314, last=27.1)
AVERAGE = ChosenWeights("average", 1500, 1500, epochs=5)
NOTHING = ChosenWeights("last", 1500, 1500, reason="nothing was held out to choose by")


def test_a_result_without_a_choice_is_written_as_before_and_one_with_it_comes_back():
    assert "chosen" not in result_of().as_dict()
    result = result_of("isovem", chosen={"fit": BEST})
    assert RunResult.from_dict(json.loads(json.dumps(result.as_dict()))).chosen == {"fit": BEST}


def test_rows_tell_of_every_seed_and_stage_what_was_kept(make_run, tmp_path: Path):
    make_run("bicubic")
    for seed, found in ((0, BEST), (1, NOTHING)):
        make_run("isovem", regime="self", preset="cpu", seed=seed, chosen={"fit": found})
    make_run("d2r-aenet", regime="self", preset="cpu", chosen={"diffusion": AVERAGE, "distil": BEST})
    board = build(load_results(tmp_path / "runs"))
    lines = weights_lines(board.tables[0])
    best = "best validation psnr (27.31) at batch 1200 of 1500, 27.10 at the last"
    assert set(lines) == {
        f"Weights of isovem: seed 0 {best}; seed 1 last, batch 1500: nothing was held out to choose by.",
        f"Weights of d2r-aenet: diffusion average of the last 5 epochs, up to batch 1500, distil {best}.",
    }
    (tmp_path / "leaderboard.json").write_text(json_text(board))
    assert weights_lines(build(read_board(tmp_path / "leaderboard.json")).tables[0]) == lines


def test_every_form_of_the_report_says_what_was_kept(make_run, tmp_path: Path):
    make_run("isovem", regime="self", preset="cpu", chosen={"fit": BEST})
    write_report(tmp_path / "runs", tmp_path / "report")
    for name in ("README.md", "index.html"):
        assert "Weights of isovem: best validation psnr" in (tmp_path / "report" / name).read_text()
    (row,) = json.loads((tmp_path / "report" / "leaderboard.json").read_text())["tasks"][0]["rows"]
    assert row["runs"][0]["chosen"]["fit"]["batch"] == 1200
