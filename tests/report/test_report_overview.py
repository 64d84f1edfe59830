"""The overview: methods by tasks, their means over tissues, and where it is shown."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.report_fakes import TASK, MakeRun, result_of
from report.test_report_gain import KERNEL, LEARNER, rows_of
from rich.console import Console

import vemrecon
from vemrecon.bench.track import Track
from vemrecon.cli import main
from vemrecon.report import print_table, read_board, write_report
from vemrecon.report.compare import comparisons, together
from vemrecon.report.leaderboard import TIMES, Leaderboard, build
from vemrecon.report.load import Run
from vemrecon.report.overview import Line, Overview, overviews

TISSUES = ("fib25", "epfl", "cremi")


def task(dataset: str, scale: float = 4.0, kind: str = "reference") -> dict:
    return {**TASK, "dataset": dataset, "scale": scale, "kind": kind, "axis": "y" if kind == "lateral" else "z"}


TASKS = (task("fib25", 4), task("fib25", 8), task("epfl", 8), task("cremi", 8, "lateral"))
"""Two tasks of one tissue, and one of each of two others."""


def plane_of(task: Mapping) -> str:
    """Where its main score is taken."""
    return "xy" if task["kind"] == "lateral" else "volume"


def runs_of(scores: Mapping[str, Mapping[int, np.ndarray]], **more) -> list[Run]:
    """Runs of methods on some of the tasks: scores of blocks by method and number of the task."""
    found = []
    for name, by_task in scores.items():
        card = KERNEL if name.startswith("kernel") else LEARNER
        for n, blocks in by_task.items():
            rows = rows_of(blocks, plane=plane_of(TASKS[n]))
            made = result_of(name, task=TASKS[n], card=card, rows=rows, metrics=("psnr",), **more)
            found.append((Path(made.run_id), made))
    return found


def overview_of(scores: Mapping[str, Mapping[int, np.ndarray]]) -> Overview:
    (found,) = overviews(build(runs_of(scores)))
    return found


def lines_of(overview: Overview) -> dict[str, Line]:
    return {line.label: line for line in overview.lines}


def gains(line: Line) -> list[float | None]:
    return [gain.estimate and gain.estimate.value for gain in line.gains]


@st.composite
def boards(draw) -> dict[str, dict[int, np.ndarray]]:
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    tissue = {n: rng.normal(24, 1, 8) for n in range(len(TASKS))}
    names = ["kernel0", "kernel1", "net0", "net1"]
    return {name: {n: tissue[n] + rng.normal(0, 0.5) + rng.normal(0, 0.1, 8) for n in tissue} for name in names}


@settings(max_examples=15, deadline=None)
@given(boards())
def test_the_mean_is_over_tissues_of_the_means_over_their_tasks(scores):
    overview = overview_of(scores)
    assert overview.tissues == ("cremi", "epfl", "fib25", "fib25")
    for line in overview.lines:
        cremi, epfl, *fib25 = gains(line)
        assert line.mean.estimate.value == pytest.approx((cremi + epfl + sum(fib25) / 2) / 3)
        assert line.mean.estimate.low <= line.mean.estimate.value <= line.mean.estimate.high


@settings(max_examples=15, deadline=None)
@given(boards(), st.integers(0, 3), st.sampled_from(["net0", "net1", "kernel1"]))
def test_a_method_that_lacks_a_task_has_no_mean_and_changes_no_other_line(scores, missing, name):
    whole = lines_of(overview_of(scores))
    part = {other: dict(by_task) for other, by_task in scores.items()}
    del part[name][missing]
    if name == "kernel1":  # it may have been the best kernel
        part["kernel0"] = {n: np.maximum(v, scores["kernel1"][n]) + 1 for n, v in part["kernel0"].items()}
        whole = lines_of(overview_of({**scores, "kernel0": part["kernel0"]}))
    lines = lines_of(overview_of(part))
    assert lines[name].mean.estimate is None and lines[name].mean.reason == "a gain on 3 of 4 tasks"
    assert lines[name].count == 3
    assert [gain.reason for gain in lines[name].gains].count("not run") == 1
    for other in set(lines) - {name}:
        assert gains(lines[other]) == gains(whole[other])
        assert lines[other].mean.estimate == whole[other].mean.estimate


@settings(max_examples=10, deadline=None)
@given(boards(), st.randoms())
def test_the_order_of_methods_and_tasks_changes_no_number(scores, random):
    runs = runs_of(scores)
    random.shuffle(runs)
    (moved,) = overviews(build(runs))
    assert {line.label: line for line in moved.lines} == lines_of(overview_of(scores))


@settings(max_examples=10, deadline=None)
@given(boards())
def test_compare_says_of_several_tasks_what_the_overview_says(scores):
    for by_task in scores["kernel1"].values():
        by_task -= 5  # so that one kernel is the best everywhere
    board = build(runs_of(scores))
    (overview,) = overviews(board)
    for name in ("net0", "net1"):
        (found,) = together(comparisons(board, name, "kernel0"))
        mean = lines_of(overview)[name].mean.estimate
        assert (found.mean.value, found.mean.low, found.mean.high) == pytest.approx((mean.value, mean.low, mean.high))
        assert (found.tissues, len(found.parts)) == (3, 4)


def test_without_an_interval_on_one_task_the_mean_has_none():
    rng = np.random.default_rng(0)
    scores = {
        name: {n: level + rng.normal(0, 0.1, 3 if n == 2 else 8) for n in range(4)}
        for name, level in (("kernel", 20), ("net", 22))
    }
    mean = lines_of(overview_of(scores))["net"].mean.estimate
    assert mean.value == pytest.approx(2, abs=0.2) and mean.low is None


def test_units_measures_and_tracks_are_never_mixed():
    rng = np.random.default_rng(0)
    plain = {"kernel": {n: rng.normal(20, 1, 8) for n in (0, 1)}, "net": {n: rng.normal(22, 1, 8) for n in (0, 1)}}
    runs = runs_of(plain)
    runs += runs_of({"net": plain["net"]}, spec={"track": Track(2.0)})
    for scale in (4, 8):
        for name, card, value in (("kernel", KERNEL, 0.8), ("net", LEARNER, 0.9)):
            blocks = value + rng.normal(0, 0.01, 8)
            rows = rows_of(blocks, metric="ssim", variant="gaussian11", plane="xy")
            made = result_of(name, task=task("epfl", scale), card=card, rows=rows, metrics=("ssim",))
            runs.append((Path(made.run_id), made))
    found = overviews(build(runs))
    assert sorted((overview.title, len(overview.tables)) for overview in found) == [
        ("Gain over the best kernel, PSNR (dB)", 2),
        ("Gain over the best kernel, PSNR (dB) · 2 min of training", 2),
        ("Gain over the best kernel, SSIM", 2),
    ]
    assert all({line.label for line in overview.lines} == {"kernel", "net"} for overview in found)


def test_presets_stand_apart_and_tasks_without_a_kernel_are_left_out():
    rng = np.random.default_rng(0)
    blocks = {n: rng.normal(22, 1, 8) for n in range(3)}
    runs = runs_of({"kernel": {n: blocks[n] - 1 for n in (0, 1)}})
    runs += runs_of({"net": blocks}, preset="cpu") + runs_of({"net": {0: blocks[0] + 1}}, preset="paper")
    (overview,) = overviews(build(runs))
    assert overview.left_out == (f"epfl · test · z {TIMES} 8 · subsample: no kernel has finished",)
    lines = lines_of(overview)
    assert set(lines) == {"kernel", "net (cpu)", "net (paper)"}
    assert gains(lines["net (cpu)"]) == pytest.approx([1.0, 1.0]) and lines["net (paper)"].count == 1


def test_one_task_has_no_overview():
    rng = np.random.default_rng(0)
    assert not overviews(build(runs_of({"kernel": {0: rng.normal(20, 1, 8)}, "net": {0: rng.normal(22, 1, 8)}})))
    assert not overviews(Leaderboard(()))


def several(make_run: MakeRun) -> None:
    rng = np.random.default_rng(0)
    for n, one in enumerate(TASKS):
        tissue = rng.normal(0, 0.5, 8)
        for name, level in (("linear", 24.0), ("bicubic", 24.2 if n else 23.8)):
            rows = rows_of(level + tissue + rng.normal(0, 0.05, 8), plane=plane_of(one))
            make_run(name, task=one, card=KERNEL, rows=rows, metrics=("psnr",), pictures=False)
        rows = rows_of(26.0 + tissue + rng.normal(0, 0.05, 8), plane=plane_of(one))
        make_run("cnn", task=one, card=LEARNER, rows=rows, metrics=("psnr",), pictures=False)
        if n == 3:
            reason = "planes are not learned | from"
            make_run("isovem", task=one, card=LEARNER, status="declined", reason=reason)
        else:
            make_run("isovem", task=one, card=LEARNER, rows=rows_of(25.0 + tissue), metrics=("psnr",), pictures=False)


def test_every_form_shows_the_overview(make_run, tmp_path: Path):
    several(make_run)
    report = write_report(tmp_path / "runs", tmp_path / "report")

    for width in (60, 80, 140):
        console = Console(width=width, file=io.StringIO(), color_system=None)
        print_table(report, console)
        shown = console.file.getvalue()
        assert max(map(len, shown.splitlines())) <= width
    part = shown[shown.index("Gain over the best kernel, PSNR (dB)") :]
    assert re.search(r"cnn +self +\+1\.\d\d +\[\+1\.\d\d, \+[12]\.\d\d\] +4/4( +\+[12]\.\d\d){4}", part)
    assert re.search(r"isovem +self +3/4 +\+\d", part), "neither a mean, nor a gain on the first task"
    assert f"3  fib25 · test · z {TIMES} 4 · subsample, over linear of 2" in part

    text = (tmp_path / "report" / "README.md").read_text()
    assert text.index("## Gain over the best kernel, PSNR (dB)") < text.index("· subsample\n")
    line = next(line for line in text.splitlines() if line.startswith("| isovem"))
    assert line.startswith("| isovem | self | <sup>a</sup> | 3/4 | <sup>b</sup> | +")
    assert "<sup>a</sup> a gain on 3 of 4 tasks" in text
    assert "<sup>b</sup> declined: planes are not learned \\| from" in text
    table = [line for line in text[: text.index("<sup>a</sup> a gain")].splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1

    page = (tmp_path / "report" / "index.html").read_text()
    html = page[page.index('<section class="overview"') :].partition("</section>")[0]
    assert page.index('<section class="overview"') < page.index('<div class="tabs"')
    keys = {table.key for table in report.board.tables}
    assert set(re.findall(r'href="#([^"]*)"', html)) == keys and all(f'id="tab-{key}"' in page for key in keys)
    widths = {
        sum(int((re.search(r'colspan="(\d+)"', cell) or [0, 1])[1]) for cell in re.findall(r"<t[hd]\b[^>]*>", row))
        for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    }
    assert len(widths) == 1 and html.count("<tr>") == 2 + 4


def test_the_json_has_the_overview_and_builds_it_again(make_run, tmp_path: Path):
    several(make_run)
    write_report(tmp_path / "runs", tmp_path / "report")
    path = tmp_path / "report" / "leaderboard.json"
    (overview,) = json.loads(path.read_text())["overviews"]
    assert [one["tissue"] for one in overview["tasks"]] == ["cremi", "epfl", "fib25", "fib25"]
    assert [one["best_kernel"] for one in overview["tasks"]] == ["bicubic", "bicubic", "linear", "bicubic"]
    methods = {line["label"]: line for line in overview["methods"]}
    assert methods["isovem"]["mean"] == {"value": None, "low": None, "high": None, "reason": "a gain on 3 of 4 tasks"}
    assert methods["cnn"]["mean"]["low"] < methods["cnn"]["mean"]["value"] < methods["cnn"]["mean"]["high"]
    write_report(tmp_path / "runs", tmp_path / "again", read_board(path))
    assert (tmp_path / "again" / "leaderboard.json").read_bytes() == path.read_bytes()


def test_the_command_and_the_function_compare_on_all_tasks(make_run, tmp_path: Path, capsys):
    several(make_run)
    runs = tmp_path / "runs"
    assert main(["compare", "cnn", "linear", "--runs", str(runs)]) == 0
    text = capsys.readouterr().out
    assert text.count("cnn is better") == 4
    assert "mean over 3 tissues, of the means over the tasks of each (4 tasks)\n  cnn minus linear: +" in text
    write_report(runs, tmp_path / "report")
    for where in (runs, str(tmp_path / "report" / "leaderboard.json")):
        found = vemrecon.compare("isovem", "linear", where)
        assert [one.tissue for one in found] == ["epfl", "fib25", "fib25"]
        assert all(one.better == "isovem" and one.interval.low < one.difference < one.interval.high for one in found)
    (one, *_) = vemrecon.compare("isovem", "linear", runs, metric="psnr/volume")
    assert one == vemrecon.compare("isovem", "linear", runs)[0]
    with pytest.raises(vemrecon.errors.ConfigError, match="did you mean 'isovem'"):
        vemrecon.compare("isovme", "linear", runs)
