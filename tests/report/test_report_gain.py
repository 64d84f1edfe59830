"""Gains over the best kernel: what they are, what they do not depend on, and where they are shown."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.report_fakes import CARD, TASK, MakeRun, result_of, score
from rich.console import Console

from vemrecon.errors import ConfigError
from vemrecon.methods import MethodCard
from vemrecon.methods.registry import built_in_methods
from vemrecon.metrics import Limit
from vemrecon.report import print_table, write_report
from vemrecon.report.compare import comparisons
from vemrecon.report.leaderboard import Leaderboard, Table, build
from vemrecon.report.load import Run

KERNEL = {**CARD, "title": "A kernel", "regime": "none", "kernel": True}
LEARNER = {**CARD, "title": "A network", "regime": "self"}


def rows_of(
    blocks: Sequence[float], whole: float | None = None, metric: str = "psnr", variant: str = "", plane: str = "volume"
) -> list:
    """Scores of blocks, and of the whole: their mean unless it is given."""
    value = float(np.mean(blocks)) if whole is None else whole
    parts = [score(metric, variant, plane, float(v), block=f"0-0-{n}") for n, v in enumerate(blocks)]
    return [score(metric, variant, plane, value), *parts]


@dataclass(frozen=True)
class Asked:
    """A method of a made-up table."""

    card: Mapping
    seeds: tuple[Sequence[float], ...]
    """Scores of blocks, by seed."""


def runs_of(asked: Mapping[str, Asked], task: Mapping = TASK) -> list[Run]:
    found = []
    for name, one in asked.items():
        for seed, blocks in enumerate(one.seeds):
            made = result_of(name, task=task, card=one.card, seed=seed, rows=rows_of(blocks), metrics=("psnr",))
            found.append((Path(made.run_id), made))
    return found


def table_of(asked: Mapping[str, Asked]) -> Table:
    (table,) = build(runs_of(asked)).tables
    return table


def gains_of(table: Table) -> dict[str, float | None]:
    return {row.label: row.cells["all"]["gain"].value for row in table.done}


def numbers_of(table: Table) -> dict[str, tuple]:
    """Gain and interval of every row."""
    found = {label: [gain] for label, gain in gains_of(table).items()}
    for (key, label), interval in table.certainty.intervals.items():
        if key == "gain":
            found[label] += [interval.low, interval.high]
    return {label: tuple(values) for label, values in found.items()}


@st.composite
def tables(draw) -> dict[str, Asked]:
    """Two or three kernels, and learners with one to three seeds, on the same blocks."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    count = draw(st.integers(4, 9))
    tissue = rng.normal(0, 1, count)
    found = {}
    for n in range(draw(st.integers(1, 3))):
        found[f"kernel{n}"] = Asked(KERNEL, (24 + tissue + rng.normal(0, 0.3) + rng.normal(0, 0.1, count),))
    for n in range(draw(st.integers(1, 3))):
        seeds = draw(st.integers(1, 3))
        values = tuple(25 + tissue + rng.normal(0, 0.5) + rng.normal(0, 0.2, count) for _ in range(seeds))
        found[f"learner{n}"] = Asked(LEARNER, values)
    return found


@settings(max_examples=25, deadline=None)
@given(tables())
def test_the_gain_of_the_best_kernel_is_zero_and_that_of_the_other_kernels_is_not_above(asked):
    table = table_of(asked)
    gains = gains_of(table)
    assert table.best_kernel is not None and gains[table.best_kernel.label] == 0
    assert all(gains[row.label] <= 0 for row in table.kernels)
    assert ("gain", table.best_kernel.label) not in table.certainty.intervals


@settings(max_examples=25, deadline=None)
@given(tables(), st.floats(-10, 10), st.integers(0, 1000))
def test_what_all_methods_of_a_task_have_in_common_changes_no_gain(asked, level, seed):
    tissue = level + 3 * np.random.default_rng(seed).normal(size=len(asked["kernel0"].seeds[0]))
    moved = {name: Asked(one.card, tuple(v + tissue for v in one.seeds)) for name, one in asked.items()}
    before, after = numbers_of(table_of(asked)), numbers_of(table_of(moved))
    assert before.keys() == after.keys()
    for label, numbers in before.items():
        assert after[label] == pytest.approx(numbers, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(tables(), st.randoms())
def test_the_order_of_methods_changes_no_number(asked, random):
    names = list(asked)
    random.shuffle(names)
    assert numbers_of(table_of(asked)) == numbers_of(table_of({name: asked[name] for name in names}))


@settings(max_examples=15, deadline=None)
@given(tables())
def test_a_gain_is_what_compare_says_of_a_method_and_the_best_kernel(asked):
    table = table_of(asked)
    kernel = table.best_kernel.label
    for label, numbers in numbers_of(table).items():
        if label == kernel:
            continue
        (found,) = comparisons(Leaderboard((table,)), label, kernel)
        assert found.difference == numbers[0]
        assert (found.interval.low, found.interval.high) == numbers[1:]


def test_a_gain_is_the_difference_and_its_interval_that_of_paired_blocks():
    """Of differences 1.0, 1.2, 0.8, 1.0 of four blocks: Student's t with three degrees of freedom is 3.182."""
    tissue = np.array([20.0, 25.0, 22.0, 30.0])
    table = table_of({
        "linear": Asked(KERNEL, (tissue,)),
        "nearest": Asked(KERNEL, (tissue - 2,)),
        "cnn": Asked(LEARNER, (tissue + np.array([1.0, 1.2, 0.8, 1.0]),)),
    })  # fmt: skip
    gain, low, high = numbers_of(table)["cnn"]
    error = np.std([1.0, 1.2, 0.8, 1.0], ddof=1) / 2
    assert gain == pytest.approx(1.0)
    assert (low, high) == pytest.approx((1 - 3.182 * error, 1 + 3.182 * error), abs=0.3 * error)
    assert gains_of(table)["nearest"] == pytest.approx(-2.0)


def test_less_is_better_for_some_scores_and_the_gain_is_turned():
    """LPIPS of 0.3 is better than 0.4 of the best kernel: a gain of 0.1."""
    runs = []
    for name, card, value in (("linear", KERNEL, 0.4), ("nearest", KERNEL, 0.6), ("cnn", LEARNER, 0.3)):
        made = result_of(name, card=card, rows=[score("lpips", "vgg", "xy", value)], metrics=("lpips_vgg",))
        runs.append((Path(name), made))
    (table,) = build(runs).tables
    assert gains_of(table) == pytest.approx({"linear": 0.0, "nearest": -0.2, "cnn": 0.1})


def test_a_bound_has_no_gain_and_is_no_best_kernel():
    runs = []
    for name, card, value, limit in (
        ("linear", KERNEL, 20.0, Limit.AT_MOST), ("nearest", KERNEL, 60.0, None), ("cnn", LEARNER, 20.0, Limit.AT_MOST)
    ):  # fmt: skip
        made = result_of(name, card=card, rows=[score("fsc", "hann", "z", value, limit=limit)], metrics=("fsc",))
        runs.append((Path(name), made))
    (table,) = build(runs).tables
    assert table.best_kernel.label == "nearest"
    assert table.done[-1].cells["all"]["gain"].notes == ("a bound has no gain",)


def test_without_a_kernel_gains_are_blank_with_the_reason(tmp_path: Path):
    blocks = np.arange(20.0, 28.0)
    plugin = {**CARD, "title": "Learns nothing, but is no kernel", "regime": "none"}
    table = table_of({"plugin": Asked(plugin, (blocks,)), "cnn": Asked(LEARNER, (blocks + 1,))})
    for row in table.done:
        cell = row.cells["all"]["gain"]
        assert cell.value is None and cell.notes == ("no kernel has finished, over which a gain could be taken",)
    console = Console(width=160, record=True, file=(tmp_path / "out").open("w"))
    print_table(Leaderboard((table,)), console)
    shown = console.export_text()
    assert "PSNR gain (dB): no kernel has finished" in shown


def test_only_kernels_are_kernels():
    """What learns nothing and is no kernel: a mean of anything, a filter that looks at the volume, a lucky draw."""
    names = {name for name, entry in built_in_methods().items() if entry.card.kernel}
    assert names == {"nearest", "linear", "bicubic", "bicubic-keys", "bspline3", "lanczos3"}
    assert not MethodCard("Repeats sections", "none").kernel
    for wrong in ({"regime": "self"}, {"regime": "none", "random": True}):
        with pytest.raises(ConfigError, match="is a kernel, so its regime must be none"):
            MethodCard("A kernel", kernel=True, **wrong)


def several(make_run: MakeRun) -> None:
    rng = np.random.default_rng(0)
    tissue = rng.normal(0, 0.4, 8)
    make_run("linear", card=KERNEL, rows=rows_of(24.0 + tissue + rng.normal(0, 0.05, 8)), metrics=("psnr",))
    make_run("nearest", card=KERNEL, rows=rows_of(22.0 + tissue + rng.normal(0, 0.05, 8)), metrics=("psnr",))
    for seed in (0, 1):
        rows = rows_of(26.0 + tissue + rng.normal(0, 0.05, 8))
        make_run("cnn", card=LEARNER, seed=seed, rows=rows, metrics=("psnr",))
    make_run("isovem", card=LEARNER, status="failed", reason="out of memory")


def test_every_form_shows_gains(make_run, tmp_path: Path):
    several(make_run)
    report = write_report(tmp_path / "runs", tmp_path / "report")
    words = "gain: PSNR volume (dB) over that of linear, the best of linear, nearest; [low, high]: 95 % interval"

    console = Console(width=140, record=True, file=(tmp_path / "out").open("w"))
    print_table(report, console)
    shown = console.export_text()
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    number = r"[+-]\d\.\d\d"
    assert re.search(rf" \+[12]\.\d\d +\[{number}, {number}\]", lines["cnn"])
    assert re.search(r"\] +0\.00 ", lines["linear"]) and re.search(
        rf" -\d\.\d\d +\[{number}, {number}\]", lines["nearest"]
    )
    assert words in " ".join(shown.split())

    text = (tmp_path / "report" / "README.md").read_text()
    heads = next(line for line in text.splitlines() if line.startswith("| method")).split(" | ")
    cells = next(line for line in text.splitlines() if line.startswith("| cnn")).split(" | ")
    assert heads[4] == "PSNR gain (dB) ↑" and re.fullmatch(rf"\+[12]\.\d\d \[{number}, {number}\]", cells[4])
    assert words in text.replace("\\", "")

    page = (tmp_path / "report" / "index.html").read_text()
    assert re.search(rf">\+[12]\.\d\d<small>\[{number}, {number}\]</small></td>", page)
    assert words in page


def test_files_for_programs_have_gains_beside_the_main_score(make_run, tmp_path: Path):
    several(make_run)
    write_report(tmp_path / "runs", tmp_path / "report")

    (task,) = json.loads((tmp_path / "report" / "leaderboard.json").read_text())["tasks"]
    rows = {row["label"]: row for row in task["rows"]}
    assert task["best_kernel"] == "linear" and task["columns"]["gain"]["gain_of"] == "psnr/volume"
    gain, interval = rows["cnn"]["cells"]["all"]["gain"]["value"], rows["cnn"]["intervals"]["gain"]
    assert interval["low"] < gain < interval["high"] and interval["seeds"] == 2
    assert rows["linear"]["cells"]["all"]["gain"]["value"] == 0

    lines = list(csv.DictReader(io.StringIO((tmp_path / "report" / "leaderboard.csv").read_text())))
    main = [line for line in lines if line["gain"]]
    assert [(line["method"], line["seed"], line["block"]) for line in main] == [
        ("linear", "0", "all"), ("nearest", "0", "all"), ("cnn", "0", "all"), ("cnn", "1", "all"),
    ]  # fmt: skip
    assert {line["best_kernel"] for line in main} == {"linear"}
    cnn = main[-1]
    assert float(cnn["gain"]) == gain and float(cnn["gain_low"]) == interval["low"]
    assert float(cnn["interval_low"]) < (25 + 27) / 2 < float(cnn["interval_high"])
    assert (cnn["rank_best"], cnn["rank_worst"]) == ("1", "1")
    assert all(not line["gain"] and not line["rank_best"] for line in lines if line["block"] != "all")
