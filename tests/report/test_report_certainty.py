"""Intervals, ranks and comparisons of a table, in every form that it is shown in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from report.report_fakes import METRICS, MakeRun, score, scores
from rich.console import Console

from vemrecon.cli import main
from vemrecon.metrics import Limit
from vemrecon.report import load_results, print_table, read_board, write_report
from vemrecon.report.leaderboard import Table, build

TISSUE = np.random.default_rng(0).normal(0, 0.4, 8)
"""How much easier each block is, for every method."""


def blocks(psnr: float, seed: int = 0, count: int = 8, noise: float = 0.02) -> list:
    """Scores of a whole volume and of its blocks."""
    rng = np.random.default_rng(seed)
    values = psnr + TISSUE[:count] + noise * rng.standard_normal(count)
    whole = [one for one in scores(psnr) if one.whole]
    return [*whole, *(score("psnr", "", "volume", v, block=f"0-0-{n}") for n, v in enumerate(values.tolist()))]


def several(make_run: MakeRun, count: int = 8) -> None:
    """Two kernels that are alike, a better learner with two seeds, and one with a single seed."""
    make_run("linear", rows=blocks(24.0, 1, count, noise=0.2))
    make_run("bicubic", rows=blocks(24.05, 2, count, noise=0.2))
    for seed in (0, 1):
        make_run("vemamba", regime="self", seed=seed, rows=blocks(27.0 + seed / 100, 3 + seed, count))
    make_run("isovem", regime="self", rows=blocks(26.0, 5, count))


def table_of(tmp_path: Path) -> Table:
    (table,) = build(load_results(tmp_path / "runs")).tables
    return table


def test_intervals_lie_around_the_values_of_the_whole_volume(make_run, tmp_path: Path):
    several(make_run)
    table = table_of(tmp_path)
    for row in table.done:
        found = table.certainty.intervals["psnr/volume", row.label]
        value = row.cells["all"]["psnr/volume"].value
        assert value is not None and found.low < value < found.high
        assert (found.blocks, found.seeds) == (8, len(row.runs))


def test_a_rank_is_the_places_that_paired_tests_leave_open(make_run, tmp_path: Path):
    several(make_run)
    certainty = table_of(tmp_path).certainty
    ranks = {label: str(rank) for label, rank in certainty.ranks.items()}
    assert ranks == {"vemamba": "1", "isovem": "2", "bicubic": "3-4", "linear": "3-4"}
    assert certainty.tied("linear") == ("bicubic",)


def test_few_blocks_and_bounds_have_no_interval_and_say_so(make_run, tmp_path: Path):
    several(make_run, count=3)
    certainty = table_of(tmp_path).certainty
    assert not certainty.intervals and not certainty.ranks
    assert certainty.notes == (
        "no interval: 3 evaluation blocks, fewer than 4",
        "no ranks: 3 evaluation blocks, fewer than the 6 that can show a difference",
    )


def test_a_row_without_blocks_is_left_out_and_the_others_are_ranked(make_run, tmp_path: Path):
    several(make_run)
    make_run("nearest", rows=[one for one in scores(20.0) if one.whole])
    certainty = table_of(tmp_path).certainty
    assert "nearest" not in certainty.ranks and len(certainty.ranks) == 4
    assert certainty.notes[0].startswith("no interval of nearest: no scores of evaluation blocks")


def test_bounds_have_no_interval(make_run, tmp_path: Path):
    bound = [score("fsc", "hann", "z", 20.0, block=f"0-0-{n}", limit=Limit.AT_MOST) for n in range(8)]
    make_run("linear", rows=[*blocks(24.0), *bound])
    keys = {key for key, _ in table_of(tmp_path).certainty.intervals}
    assert keys == {"psnr/volume"}


def test_every_form_shows_intervals_ranks_and_single_seeds(make_run, tmp_path: Path):
    several(make_run)
    report = write_report(tmp_path / "runs", tmp_path / "report")

    console = Console(width=140, record=True, file=(tmp_path / "out").open("w"))
    print_table(report, console)
    shown = console.export_text()
    line = next(line for line in shown.splitlines() if line.strip().startswith("isovem"))
    assert re.search(r"isovem +2 +self +1 † .*26\.00 +\[\d\d\.\d\d, \d\d\.\d\d\]", line)

    text = (tmp_path / "report" / "README.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("| isovem"))
    assert re.match(r"\| isovem \| self \| 2 \| 26\.00 \[\d\d\.\d\d, \d\d\.\d\d\] \|.*\| 0 † \|", line)
    assert "95 % interval of PSNR volume (dB), over 8 evaluation blocks and seeds" in text
    assert "one seed of a random method" in text

    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count('<svg class="ci"') == 4
    assert 'title="not told apart from: bicubic">3\N{EN DASH}4</td>' in page
    assert "95 % interval [" in page


def test_the_json_has_them_and_builds_the_same_leaderboard_again(make_run, tmp_path: Path):
    several(make_run)
    write_report(tmp_path / "runs", tmp_path / "report")
    path = tmp_path / "report" / "leaderboard.json"
    (task,) = json.loads(path.read_text())["tasks"]
    rows = {row["label"]: row for row in task["rows"]}
    assert rows["vemamba"]["intervals"]["psnr/volume"]["seeds"] == 2
    assert rows["bicubic"]["rank"] == {"best": 3, "worst": 4, "tied": ["linear"]}
    assert rows["isovem"]["one_seed"] and not rows["linear"]["one_seed"]
    pairs = {(pair["first"], pair["second"]): pair for pair in task["comparisons"]["pairs"]}
    assert len(pairs) == 6
    assert all(pair["p"] <= pair["p_corrected"] for pair in pairs.values())

    write_report(tmp_path / "runs", tmp_path / "again", read_board(path))
    assert (tmp_path / "again" / "leaderboard.json").read_bytes() == path.read_bytes()


def test_a_board_without_blocks_as_earlier_versions_wrote_it_can_be_read(make_run, tmp_path: Path):
    several(make_run)
    write_report(tmp_path / "runs", tmp_path / "report")
    path = tmp_path / "report" / "leaderboard.json"
    board = json.loads(path.read_text())
    for row in board["tasks"][0]["rows"]:
        del row["intervals"], row["rank"], row["one_seed"]
        for run in row["runs"]:
            del run["blocks"]
    del board["tasks"][0]["comparisons"]
    path.write_text(json.dumps(board))
    (table,) = build(read_board(path)).tables
    assert len(table.rows) == 4 and not table.certainty.intervals


def test_compare_prints_difference_interval_and_verdict(make_run, tmp_path: Path, capsys):
    several(make_run)
    runs = ["--runs", str(tmp_path / "runs")]
    assert main(["compare", "vemamba", "linear", *runs]) == 0
    text = capsys.readouterr().out
    found = re.search(r"vemamba minus linear: \+(\d\.\d+), 95 % interval \[\+(\d\.\d+), \+(\d\.\d+)\] dB", text)
    assert found and float(found[2]) < float(found[1]) == 3.005 < float(found[3])
    assert "8 blocks, 2 seeds of vemamba and 1 seed of linear: p = 0.0078, vemamba is better" in text

    assert main(["compare", "bicubic", "linear", "--metric", "psnr/volume", *runs]) == 0
    assert "no difference is shown" in capsys.readouterr().out

    write_report(tmp_path / "runs", tmp_path / "report")
    assert main(["compare", "isovem", "linear", "--board", str(tmp_path / "report" / "leaderboard.json")]) == 0
    text = capsys.readouterr().out
    assert "isovem is better" in text and "one seed alone of isovem" in text


def test_compare_of_what_keeps_no_blocks_says_why_there_is_no_test(make_run, tmp_path: Path, capsys):
    several(make_run)
    assert main(["compare", "vemamba", "linear", "--metric", "fsc/ratio", "--runs", str(tmp_path / "runs")]) == 0
    text = capsys.readouterr().out
    assert "of the distances |log| from 1" in text
    assert "no test: vemamba: no scores of evaluation blocks" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vemamba", "linaer"], "did you mean 'linear'"),
        (["vemamba", "linear", "--metric", "psrn"], "did you mean 'psnr'"),
        (["vemamba", "linear", "--metric", "lpips/xy"], "weights are not available"),
        (["vemamba", "cnn"], "'cnn' stands for 2 rows; name one of: cnn (dim="),
    ],
)
def test_compare_refuses_what_it_cannot_compare_in_one_line(make_run, tmp_path: Path, capsys, words, message):
    several(make_run)
    for dim in (8, 16):
        make_run("cnn", regime="self", arguments={"dim": dim}, rows=blocks(25.0), metrics=METRICS)
    assert main(["compare", *words, "--runs", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_no_difference_is_shown_that_the_whole_volume_contradicts(make_run, tmp_path: Path, capsys):
    """The whole volume has pooled errors, so that its order may be another one than that of the mean of blocks."""
    make_run("linear", rows=blocks(24.0, 1))
    low = [one if one.whole else score("psnr", "", "volume", one.value - 1.0, block=one.block) for one in blocks(24.0)]
    make_run("bicubic", rows=[*(one for one in scores(24.5) if one.whole), *(one for one in low if not one.whole)])

    assert [str(rank) for rank in table_of(tmp_path).certainty.ranks.values()] == ["1-2", "1-2"]
    assert main(["compare", "linear", "bicubic", "--runs", str(tmp_path / "runs")]) == 0
    assert "another sign than the whole volume" in capsys.readouterr().out


def test_every_row_of_the_page_is_as_wide_as_its_headings(make_run, tmp_path: Path):
    several(make_run)
    make_run("srunet", regime="isotropic", status="failed", reason="out of memory")
    write_report(tmp_path / "runs", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    table = page[page.index('<table class="scores"') : page.index("</table>")]
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    widths = {
        sum(int((re.search(r'colspan="(\d+)"', cell) or [0, 1])[1]) for cell in re.findall(r"<t[hd]\b[^>]*>", row))
        for row in rows
    }
    assert len(rows) == 2 + 5 and len(widths) == 1
    assert table.count("<td") + table.count("<th ") == table.count("</td>") + table.count("</th>")
