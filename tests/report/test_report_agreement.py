"""How far tasks, measures and seeds agree on the order of methods."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from report.report_fakes import result_of
from report.test_report_gain import KERNEL, LEARNER, rows_of
from report.test_report_overview import TASKS, plane_of

from vemrecon.report.agreement import LEAST, agreements, kendall
from vemrecon.report.leaderboard import Leaderboard, build
from vemrecon.report.markdown import markdown_text
from vemrecon.report.page import page_text
from vemrecon.report.panel import Look
from vemrecon.report.records import json_text


def board_of(scores: dict[str, dict[int, float]], seeds: dict[str, list[float]] | None = None) -> Leaderboard:
    """Scores of methods by the number of the task; more seeds of some of them on the first one."""
    found = []
    for name, by_task in scores.items():
        card = KERNEL if name.startswith("kernel") else LEARNER
        for n, value in by_task.items():
            more = (seeds or {}).get(name, []) if n == 0 else []
            for seed, one in enumerate([value, *more]):
                rows = rows_of(np.full(8, one), plane=plane_of(TASKS[n]))
                made = result_of(name, task=TASKS[n], card=card, rows=rows, metrics=("psnr",), seed=seed)
                found.append((Path(made.run_id), made))
    return build(found)


NAMES = ("kernel0", "kernel1", "net0", "net1")


def test_the_same_order_agrees_and_the_reversed_one_disagrees() -> None:
    orders = {0: [20, 21, 22, 23], 1: [30, 31, 35, 36], 2: [9, 8, 7, 6]}
    (found,) = agreements(
        board_of({name: {n: float(order[k]) for n, order in orders.items()} for k, name in enumerate(NAMES)})
    )
    by_task = {place.table.task.dataset + f"{place.table.task.scale:g}": place for place in found.places}
    assert sorted(one.tau for place in found.places for one in place.tables if one) == [-1, -1, 1]
    assert {one.count for place in found.places for one in place.tables if one} == {4}
    assert len(by_task) == 3 and found.title == "Agreement of ranks by PSNR"


def test_too_few_methods_say_nothing() -> None:
    assert agreements(board_of({name: {0: 20.0 + k, 1: 20.0 + k} for k, name in enumerate(NAMES[:3])})) == ()
    assert kendall({str(k): 1.0 for k in range(LEAST)}, {str(k): float(k) for k in range(LEAST)}) is None


def test_seeds_are_compared_in_pairs_and_kernels_have_but_one() -> None:
    scores = {name: {0: 20.0 + k, 1: 20.0 + k} for k, name in enumerate(NAMES)}
    (same,) = agreements(board_of(scores, {"net0": [22.1], "net1": [23.1]}))
    (turned,) = agreements(board_of(scores, {"net0": [23.1], "net1": [22.1]}))
    of_seeds = [[place.seeds.tau for place in found.places if place.seeds] for found in (same, turned)]
    assert of_seeds == [[1.0], [pytest.approx(2 / 3)]]  # one of six pairs has changed places


def test_it_is_in_every_form_of_a_report() -> None:
    board = board_of({name: {0: 20.0 + k, 1: 30.0 + k, 3: 3.0 - k} for k, name in enumerate(NAMES)})
    (record,) = json.loads(json_text(board))["agreements"]
    taus = [found["tau"] for task in record["tasks"].values() for found in task["tasks"].values()]
    assert sorted(taus) == [-1, -1, 1]
    assert "## Agreement of ranks by PSNR" in markdown_text(board) and "-1.00 (4)" in markdown_text(board)
    assert "-1.00 (4)" in page_text(board, Look.of(board, 0))[0]
