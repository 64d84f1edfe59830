from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from report.report_fakes import COSTS, ENVIRONMENT, METRICS, TASK, score, scores

from vemrecon.metrics import Limit
from vemrecon.report.cells import Cell
from vemrecon.report.leaderboard import Leaderboard, build, environments
from vemrecon.report.load import load_results
from vemrecon.report.row import Row


def board_of(tmp_path: Path) -> Leaderboard:
    return build(load_results(tmp_path / "runs"))


def cell(board: Leaderboard, label: str, key: str, name: str = "all") -> Cell:
    return row_of(board, label).cells[name][key]


def row_of(board: Leaderboard, label: str) -> Row:
    return next(row for table in board.tables for row in table.rows if row.label == label)


def winners(board: Leaderboard, key: str) -> set[str]:
    return {label for table in board.tables for name, column, label in table.best if (name, column) == ("all", key)}


def test_seeds_are_averaged_with_sample_standard_deviation_and_count(make_run, tmp_path: Path):
    values = [24.0, 25.0, 27.0]
    for seed, value in enumerate(values):
        make_run("vemamba", seed=seed, rows=scores(value))

    board = board_of(tmp_path)
    found = cell(board, "vemamba", "psnr/volume")

    assert found.value == pytest.approx(statistics.fmean(values))
    assert found.std == pytest.approx(statistics.stdev(values))
    assert found.count == 3
    assert row_of(board, "vemamba").seeds == "0, 1, 2 (n = 3)"


def test_seeds_that_change_nothing_show_no_spread(make_run, tmp_path: Path):
    for seed in (0, 1):
        make_run("vemamba", seed=seed, rows=scores(24.0))

    board = board_of(tmp_path)
    (column,) = (c for c in board.tables[0].main if c.key == "psnr/volume")

    assert cell(board, "vemamba", "psnr/volume").std == 0
    assert cell(board, "vemamba", "psnr/volume").spread(column) == ""
    assert Cell(24.0, 0.0031, 2).spread(column) == "± 0.003", "a small spread is not taken for none"


def test_a_failed_seed_is_a_row_of_its_own_and_does_not_enter_the_mean(make_run, tmp_path: Path):
    make_run("vemamba", seed=0, rows=scores(24.0))
    make_run("vemamba", seed=1, status="failed", reason="out of memory")

    (table,) = board_of(tmp_path).tables

    assert [(row.status, row.seeds) for row in table.rows] == [("done", "0"), ("failed", "1")]
    assert table.rows[0].cells["all"]["psnr/volume"].value == 24.0


def test_rows_are_sorted_by_regime_and_then_by_psnr(make_run, tmp_path: Path):
    make_run("emdiffuse", regime="external", rows=scores(30))
    make_run("srunet", regime="isotropic", rows=scores(29))
    make_run("vemamba", regime="self", rows=scores(27))
    make_run("isovem", regime="self", rows=scores(28))
    make_run("linear", rows=scores(24))
    make_run("nearest", rows=scores(23))

    (table,) = board_of(tmp_path).tables

    assert [row.label for row in table.rows] == ["linear", "nearest", "isovem", "vemamba", "srunet", "emdiffuse"]


def test_variants_are_told_apart_by_what_differs(make_run, tmp_path: Path):
    make_run("vemamba", preset="paper", arguments={"dim": 32, "depth": 4})
    make_run("vemamba", preset="cpu", arguments={"dim": 24, "depth": 4})
    make_run("vemamba", preset="cpu", arguments={"dim": 16, "depth": 4})
    make_run("linear")

    labels = {row.label for row in board_of(tmp_path).tables[0].rows}

    assert labels == {"vemamba (paper)", "vemamba (cpu, dim=24)", "vemamba (cpu, dim=16)", "linear"}


def test_results_of_other_data_never_share_a_table(make_run, tmp_path: Path):
    make_run("linear")
    make_run("bicubic", split_digest="f" * 64)
    make_run("nearest", spec={"protocol": 2})

    board = board_of(tmp_path)

    assert len(board.tables) == 3
    assert len({table.key for table in board.tables}) == 3
    assert len(board.warnings) == 2


def test_tasks_are_sorted_by_scale_as_a_number(make_run, tmp_path: Path):
    for scale in (10.0, 4.0, 2.5):
        make_run("linear", task={**TASK, "scale": scale})

    assert [table.task.scale for table in board_of(tmp_path).tables] == [2.5, 4.0, 10.0]


def test_the_best_values_are_marked_in_the_right_direction(make_run, tmp_path: Path):
    make_run("linear", rows=scores(24.0, axial=80.0), costs={**COSTS, "reconstruct_seconds": 1.0})
    make_run("bicubic", rows=scores(25.0, axial=60.0), costs={**COSTS, "reconstruct_seconds": 2.0})

    board = board_of(tmp_path)

    assert winners(board, "psnr/volume") == {"bicubic"}
    assert winners(board, "fsc/z") == {"bicubic"}
    assert winners(board, "fsc/ratio") == {"bicubic"}
    assert winners(board, "cost/reconstruct") == {"linear"}
    assert winners(board, "cost/parameters") == set()


def test_a_metric_on_request_has_a_column_of_its_own(make_run, tmp_path: Path):
    names = (*METRICS, "fsim")
    asked = [score("fsim", "", "xy", 0.91), score("lpips", "vgg", "xy", 0.3), score("lpips", "alex", "xy", 0.2)]
    better = [score("fsim", "", "xy", 0.93), score("lpips", "vgg", "xy", 0.2), score("lpips", "alex", "xy", 0.1)]
    make_run("linear", rows=[*scores(24.0)[:-1], *asked], metrics=names)
    make_run("bicubic", rows=[*scores(25.0)[:-1], *better], metrics=names)

    board = board_of(tmp_path)

    headings = [c.heading for c in board.tables[0].main]
    assert [h for h in headings if h.startswith(("FSIM", "LPIPS"))] == [
        "FSIM xy",
        "FSIM mean",
        "LPIPS xy",
        "LPIPS mean",
    ]
    for key in ("fsim/xy", "lpips/alex/xy", "lpips/xy"):
        assert winners(board, key) == {"bicubic"}


def test_a_row_tells_every_machine_that_it_was_made_on(make_run, tmp_path: Path):
    trained = {**ENVIRONMENT, "commit": "earlier", "cpu": "other"}
    make_run("linear", environment={**ENVIRONMENT, "phases": {"train": trained, "reconstruct": ENVIRONMENT}})
    make_run("bicubic", environment=ENVIRONMENT)
    (table,) = board_of(tmp_path).tables
    known = environments(table)
    assert len(known["hardware"]) == 2
    assert any("other" in text.split(" / ")[0] and " / " in text for text in known["hardware"])
    assert known["commit"] == (str(ENVIRONMENT["commit"]), "earlier")


def test_costs_from_different_hardware_have_no_winner(make_run, tmp_path: Path):
    make_run("linear", costs={**COSTS, "reconstruct_seconds": 1.0})
    make_run("bicubic", costs={**COSTS, "reconstruct_seconds": 2.0}, environment={**ENVIRONMENT, "cpu": "other"})

    assert winners(board_of(tmp_path), "cost/reconstruct") == set()


def test_a_resolution_without_crossing_is_an_upper_limit(make_run, tmp_path: Path):
    make_run("linear", rows=scores(axial=20.0, axial_limit=Limit.AT_MOST))
    make_run("bicubic", rows=scores(axial=60.0))

    board = board_of(tmp_path)

    assert cell(board, "linear", "fsc/z").limit == Limit.AT_MOST
    assert cell(board, "linear", "fsc/ratio").limit == Limit.AT_MOST
    assert cell(board, "bicubic", "fsc/z").limit is None
    assert winners(board, "fsc/z") == {"linear"}


def test_no_ratio_wins_when_a_bound_may_be_better(make_run, tmp_path: Path):
    rows = [row for row in scores(axial=30.0) if (row.metric, row.plane) != ("fsc", "ratio")]
    make_run("linear", rows=[*rows, score("fsc", "hann", "ratio", 1.5, limit=Limit.AT_LEAST)])
    make_run("bicubic", rows=scores(axial=60.0))
    make_run("nearest", rows=scores(axial=70.0))

    assert winners(board_of(tmp_path), "fsc/ratio") == set()


def test_a_missing_value_keeps_its_reason(make_run, tmp_path: Path):
    rows = [row for row in scores() if (row.metric, row.plane) != ("ssim", "volume")]
    make_run(
        "linear", rows=[*rows, score("ssim", "gaussian11", "volume", None, note="thinner than the window")], costs={}
    )

    board = board_of(tmp_path)

    assert cell(board, "linear", "ssim/volume") == Cell(None, notes=("thinner than the window",))
    assert cell(board, "linear", "cost/memory").notes == ("not recorded",)
    assert cell(board, "linear", "ssim/volume", "span").notes == ("not computed by this run",)


def test_values_that_are_not_finite_count_as_missing(make_run, tmp_path: Path):
    folder = make_run("linear", rows=scores(24.0))
    path = folder / "result.json"
    path.write_text(path.read_text().replace('"value": 24.0', '"value": NaN').replace("2.5", "Infinity"))

    board = board_of(tmp_path)

    assert cell(board, "linear", "psnr/volume").value is None
    assert cell(board, "linear", "cost/reconstruct").value is None
