"""Rows of methods that learned from what is scored: shown and marked everywhere, ranked and winning nowhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from report.report_fakes import TASK, MakeRun, result_of
from report.test_report_gain import KERNEL, LEARNER, rows_of
from rich.console import Console

from vemrecon.bench.spec import CONTAMINATED, LEARNED_FROM_SCORED
from vemrecon.errors import DataError
from vemrecon.report import print_table, read_board, write_report
from vemrecon.report.chosen_rows import best_rows
from vemrecon.report.compare import comparisons
from vemrecon.report.leaderboard import Leaderboard, Table, build
from vemrecon.report.load import Run
from vemrecon.report.overview import overviews

MARKED = "cheat (contaminated)"
QUALITY = {"kernel": 24.0, "other": 23.0, "net": 25.0, "cheat": 40.0}
"""By far the best number is that of the method that learned from what is scored."""


def facts_of(name: str, task: Mapping = TASK, mode: str = CONTAMINATED) -> dict:
    """A run: of a kernel, of a method that learned apart, or of one that did not."""
    learned = {"net": "inductive", "cheat": mode}.get(name)
    rng = np.random.default_rng(len(name))
    return {
        "task": task,
        "card": LEARNER if learned else KERNEL,
        "rows": rows_of(QUALITY[name] + rng.normal(0, 0.05, 8)),
        "metrics": ("psnr",),
        "spec": {"training": {"mode": learned} if learned else None},
    }


def board_of(*names: str, task: Mapping = TASK) -> Leaderboard:
    return build(runs_of(*names, task=task))


def runs_of(*names: str, task: Mapping = TASK, mode: str = CONTAMINATED) -> list[Run]:
    made = [result_of(name, **facts_of(name, task, mode)) for name in names]
    return [(Path(one.run_id), one) for one in made]


def table_of(*names: str) -> Table:
    (table,) = board_of(*names).tables
    return table


def test_a_contaminated_row_wins_no_column_and_no_rank_and_takes_none_away():
    table, without = table_of(*QUALITY), table_of("kernel", "other", "net")
    assert [row.label for row in table.rows] == ["kernel", "other", "net", MARKED], "it stands apart, at the end"
    assert table.best == without.best and any(label == "net" for _, _, label in table.best)
    ranks = {label: (rank.best, rank.worst) for label, rank in table.certainty.ranks.items()}
    assert ranks == {label: (rank.best, rank.worst) for label, rank in without.certainty.ranks.items()}
    assert set(ranks) == {"net", "kernel", "other"} and ranks["net"] == (1, 1)
    assert not any(MARKED in (pair.first, pair.second) for pair in table.certainty.pairs)
    assert table.best_kernel.label == "kernel"


def test_its_number_and_interval_are_shown_all_the_same():
    table = table_of(*QUALITY)
    assert table.done[-1].cells["all"]["psnr/volume"].value == pytest.approx(40, abs=0.1)
    assert table.certainty.interval_text(table.primary, MARKED)


def test_the_same_numbers_learned_apart_win():
    (table,) = build(runs_of(*QUALITY, mode="inductive")).tables
    assert (table.certainty.ranks["cheat"].best, table.certainty.ranks["net"].best) == (1, 2)
    assert {label for _, key, label in table.best if key == "psnr/volume"} == {"cheat"}


def test_kernels_on_the_same_split_are_ranked_as_ever():
    table = table_of("kernel", "other", "cheat")
    assert set(table.certainty.ranks) == {"kernel", "other"}
    assert {label for _, key, label in table.best if key == "psnr/volume"} == {"kernel"}


def test_pictures_are_first_those_of_rows_that_can_win():
    assert [row.label for row in best_rows(table_of(*QUALITY), 3)] == ["kernel", "other", "net"]


def test_no_mean_over_tissues_knows_of_it():
    fair = [{**TASK, "dataset": "fib25"}, {**TASK, "dataset": "epfl"}]
    runs = [run for task in fair for run in runs_of("kernel", "net", task=task)]
    (alone,) = overviews(build(runs))
    (found,) = overviews(build([*runs, *runs_of("kernel", "cheat", task={**TASK, "dataset": "cremi"})]))
    assert found.lines == alone.lines and len(found.tables) == 2
    (line,) = found.left_out
    assert line.startswith("cremi") and line.endswith(f"methods {LEARNED_FROM_SCORED}")


def test_nobody_is_compared_with_it():
    with pytest.raises(DataError, match="cheat: learned from what is scored on every task"):
        comparisons(board_of(*QUALITY), "cheat", "kernel")
    (one,) = comparisons(board_of(*QUALITY), "net", "kernel")
    assert one.better == "net"


def test_every_table_and_file_marks_it(tmp_path: Path, make_run: MakeRun):
    for name in QUALITY:
        make_run(name, **facts_of(name))
    report = write_report(tmp_path / "runs", tmp_path / "report")
    out = io.StringIO()
    print_table(report, Console(file=out, width=200))
    (row,) = [line for line in out.getvalue().splitlines() if line.strip().startswith("cheat")]
    assert row.split()[:3] == ["cheat", "(contaminated)", "self"], "where others have a rank, it has none"
    assert f"contaminated: {LEARNED_FROM_SCORED}" in out.getvalue()

    markdown = (tmp_path / "report" / "README.md").read_text()
    (row,) = [line for line in markdown.splitlines() if line.startswith("| cheat")]
    assert LEARNED_FROM_SCORED in row and "**" not in row

    page = (tmp_path / "report" / "index.html").read_text()
    assert f"<small>{LEARNED_FROM_SCORED}</small>" in page
    assert page.replace(MARKED, "").count("cheat") == 1, "no legend, chart or run without the mark: the list of methods"

    lines = list(csv.DictReader(io.StringIO((tmp_path / "report" / "leaderboard.csv").read_text())))
    assert {line["method"] for line in lines if line["learned_from_scored"] == "True"} == {"cheat"}
    assert not any(line["rank_best"] for line in lines if line["method"] == "cheat")

    path = tmp_path / "report" / "leaderboard.json"
    (task,) = json.loads(path.read_text())["tasks"]
    marked = [row for row in task["rows"] if row["learned_from_scored"]]
    assert [(row["label"], row["rank"], row["best"]) for row in marked] == [(MARKED, None, [])]
    (again,) = build(read_board(path)).tables
    assert [row.label for row in again.rows if row.contaminated] == [MARKED], "also from the file"
