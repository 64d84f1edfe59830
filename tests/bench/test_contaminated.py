"""Protocols of papers that learn from what they score: run when they are named, and refused in any other way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vemrecon.bench.plan import PlannedRun, plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.spec import LEARNED_FROM_SCORED
from vemrecon.cli import main
from vemrecon.data import dataset_card
from vemrecon.errors import ConfigError, DataError

CARD = """
title: A crop, learned from where it is scored
voxel_size: [40, 4, 4]
tasks: [lateral, native]
files:
  crop: {{path: {crop}}}
  copy: {{path: {crop}}}
splits:
  train: {{file: crop, region: [[0, 8], [0, 128], [0, 96]]}}
  val: {{file: crop, region: [[0, 8], [240, 320], [0, 96]]}}
  test: {{file: crop, region: [[0, 8], [224, 320], [0, 96]]}}
  paper: {{file: crop, region: [[0, 8], [64, 160], [0, 96]], inside: true, contaminated: true, paper: Somebody}}
  inside: {{file: crop, region: [[0, 8], [64, 160], [0, 96]], inside: true}}
  unnamed: {{file: crop, region: [[0, 8], [64, 160], [0, 96]]}}
  copied: {{file: copy, region: [[0, 8], [64, 160], [0, 96]]}}
"""


@pytest.fixture
def card(tmp_path: Path, fib25: Path) -> Path:
    path = tmp_path / "crops.yaml"
    path.write_text(CARD.format(crop=fib25.parents[2] / "cremi_crops" / "train.tif"))
    return path


def planned(card: Path | str, split: str, *, fetch: bool = False, **more) -> list[PlannedRun]:
    request = Request(
        **{"dataset": str(card), "split": split, "scale": 4, "methods": ("lateral-cnn", "linear"), **more}
    )
    return plan(resolve([request], Setup(Path("runs")), fetch=fetch))


def test_the_protocol_of_vemamba_on_cremi_is_planned_by_its_name_without_data():
    runs = planned("cremi", "vemamba", methods=("vemamba", "isovem", "linear"), scale=10)
    marked = [(run.folder.spec.task.split, run.folder.spec.method.name) for run in runs if run.folder.spec.contaminated]
    assert marked == [(f"{sample}-vemamba", name) for sample in "abc" for name in ("vemamba", "isovem")]
    for run in runs:
        if run.folder.spec.contaminated:
            assert run.folder.spec.training["split"] == run.folder.spec.task.split + "-train"
    assert not any(run.folder.spec.contaminated for run in planned("cremi", "test", scale=10)), "ours are apart"


def test_the_real_z_of_the_same_split_has_no_truth_to_be_learned_by_heart():
    modes = {run.folder.spec.mode for run in planned("cremi", "vemamba", task="native", scale=10)}
    assert modes == {"transductive", ""}


def test_only_the_split_that_says_so_is_let_through(card: Path):
    learner, kernel = (run.folder.spec for run in planned(card, "paper"))
    assert learner.contaminated and not kernel.contaminated
    with pytest.raises(ConfigError, match="voxels of its training split 'train', and a lateral task scores the axis"):
        planned(card, "inside")
    with pytest.raises(ConfigError, match="split 'unnamed' overlaps the training split 'train'"):
        planned(card, "unnamed")
    with pytest.raises(DataError, match="split 'copied' holds voxels of the training split 'train'"):
        planned(card, "copied", fetch=True)
    assert not planned(card, "test")[0].folder.spec.contaminated
    assert [run.folder.spec.mode for run in planned(card, "inside", methods=("linear",))] == [""]


def test_no_mode_turns_it_into_something_else(card: Path):
    with pytest.raises(ConfigError, match="no transductive mode; leave --mode out"):
        planned(card, "paper", mode="transductive")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("inside: false, contaminated: true, paper: X", "contaminated needs `inside: true`, and the `paper`"),
        ("inside: true, contaminated: true", "contaminated needs `inside: true`, and the `paper`"),
        ("inside: true, contaminated: maybe, paper: X", "contaminated 'maybe': must be true or false"),
        ("chosen_here: 1", "chosen_here 1: must be true or false"),
    ],
)
def test_marks_that_contradict_a_card_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], line, said):
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"title: t\nfiles: {{a: {{path: a.npy}}}}\nsplits: {{test: {{file: a}}, odd: {{file: a, {line}}}}}\n"
    )
    assert main(["plan", "--dataset", str(path), "--methods", "linear"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_it_is_never_the_default_of_a_card(card: Path):
    card.write_text(card.read_text() + "default_split: paper\n")
    with pytest.raises(ConfigError, match="split 'paper': is contaminated, so it must be asked for by name"):
        dataset_card(str(card))


def test_bench_runs_it_and_the_plan_says_before_what_it_is_worth(card: Path, capsys: pytest.CaptureFixture[str]):
    runs = card.parent / "runs"
    words = ["--dataset", str(card), "--split", "paper", "--scale", "4", "--methods", "lateral-cnn", "linear"]
    words += ["--preset", "smoke", "--set", "lateral-cnn.budget=2", "--metrics", "psnr"]
    words += ["--runs", str(runs), "--jobs", "1"]
    assert main(["plan", *words]) == 0
    assert f"{LEARNED_FROM_SCORED}, so shown but never ranked: lateral-cnn" in capsys.readouterr().out
    assert main(["bench", *words]) == 0
    assert "lateral-cnn[budget=2] (contaminated)" in capsys.readouterr().out
    (task,) = json.loads((runs / "report" / "leaderboard.json").read_text())["tasks"]
    marks = {row["method"]["name"]: row["learned_from_scored"] for row in task["rows"]}
    assert marks == {"lateral-cnn[budget=2]": True, "linear": False}
    (learned,) = [run for row in task["rows"] for run in row["runs"] if row["learned_from_scored"]]
    assert learned["spec"]["training"]["split"] == "train"
