"""Kernels that are run beside methods that learn, so that the best one of every task is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.bench.kernels import kernels, kernels_beside
from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.suite import read_suite, requests_and_setup
from vemrecon.cli import main

KERNELS = {"nearest", "linear", "bicubic", "bicubic-keys", "bspline3", "lanczos3"}
PLUGIN = """
from vemrecon.methods import Method, MethodCard

class Repeats(Method):
    card = MethodCard("learns nothing", regime="none")

class Fixed(Method):
    card = MethodCard("weights that never change", regime="none", kernel=True)
"""


def names_of(*requests: Request) -> list[str]:
    """Methods of a plan, in its order."""
    whole = (*requests, *kernels_beside(requests))
    return [run.folder.spec.method.name for run in plan(resolve(whole, Setup(Path("runs")), fetch=False))]


def asked(*methods: str, **more) -> Request:
    return Request(**{"dataset": "phantom", "scale": 4, "methods": methods, "preset": "smoke", **more})


def test_all_kernels_are_run_beside_a_method_that_learns():
    assert set(kernels()) == KERNELS
    assert set(names_of(asked("lateral-cnn"))) == KERNELS | {"lateral-cnn"}
    assert set(names_of(asked("emgauss"))) == KERNELS | {"emgauss"}, "it learns from what it reconstructs"
    assert names_of(asked("lateral-cnn"))[0] == "lateral-cnn", "what was asked for comes first"


def test_who_names_kernels_has_chosen_unless_all_are_wanted():
    assert names_of(asked("linear", "lateral-cnn")) == ["linear", "lateral-cnn"]
    assert names_of(asked("lateral-cnn", kernels="asked")) == ["lateral-cnn"]
    every = names_of(asked("linear", "lateral-cnn", kernels="all"))
    assert set(every) == KERNELS | {"lateral-cnn"} and len(every) == 7, "no kernel twice"
    changed = asked("bicubic", "lateral-cnn", kernels="all", set={"bicubic": {"kernel": "linear"}})
    assert set(names_of(changed)) == KERNELS | {"lateral-cnn", "bicubic[kernel=linear]"}


def test_nothing_is_run_beside_what_learns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "unlearned.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert names_of(asked("nearest", kernels="all")) == ["nearest"]
    assert names_of(asked("unlearned.Repeats")) == ["Repeats"]
    assert len(names_of(asked("unlearned.Repeats", "lateral-cnn"))) == 2 + 6, "it is no kernel"
    assert names_of(asked("unlearned.Fixed", "lateral-cnn")) == ["Fixed", "lateral-cnn"]


def test_kernels_have_every_task_and_one_seed():
    request = asked(
        "lateral-cnn", scale=(4, 8), degradation=("average", "subsample"), seeds=3, set=["subsample.offset=1"]
    )
    runs = plan(resolve((request, *kernels_beside([request])), Setup(Path("runs")), fetch=False))
    tasks = {run.folder.spec.task_id for run in runs}
    assert len(tasks) == 4 and len(runs) == 4 * (3 + 6)
    assert all(len({r.folder.spec.method.name for r in runs if r.folder.spec.task_id == task}) == 7 for task in tasks)
    alone = asked(*KERNELS, scale=(4, 8), degradation=("average", "subsample"), set=["subsample.offset=1"])
    ids = {run.folder.spec.run_id for run in plan(resolve([alone], Setup(Path("runs")), fetch=False))}
    assert {run.folder.spec.run_id for run in runs if not run.learns} == ids, "the runs that anybody asks for by name"


@pytest.mark.parametrize(
    ("metrics", "kept"),
    [
        ((), ()),
        (("psnr", "lpips", "fsim", "segmentation"), ("psnr",)),
        (("lpips",), ("lpips_vgg",)),
        (("fsim", "lpips"), ("fsim",)),
        (("lpips", "holdout"), ("holdout", "lpips_vgg")),
    ],
)
def test_slow_metrics_are_left_out_but_for_that_which_ranks(metrics, kept):
    (more,) = kernels_beside([asked("lateral-cnn", metrics=metrics)])
    assert more.metrics == kept


@pytest.mark.parametrize("name", ["epfl", "cremi", "fanc", "tissues"])
def test_suites_know_the_best_kernel_of_every_task_on_which_a_method_learns(name: str, tmp_path: Path):
    requests, _ = requests_and_setup(read_suite(name))
    runs = plan(resolve((*requests, *kernels_beside(requests)), Setup(tmp_path), fetch=False))
    for task in {run.folder.spec.task_id for run in runs if run.learns}:
        assert {run.folder.spec.method.name for run in runs if run.folder.spec.task_id == task} >= KERNELS


def test_plan_and_bench_say_what_they_run_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "v.npy", textured((32, 48, 48)))
    words = ["--dataset", f"local:{tmp_path / 'v.npy'}", "--voxel-size", "8", "8", "8", "--scale", "4"]
    words += ["--methods", "lateral-cnn", "--preset", "smoke", "--mode", "transductive", "--metrics", "psnr"]
    words += ["--set", "lateral-cnn.budget=2", "--runs", str(tmp_path / "runs"), "--jobs", "1"]
    said = "run too, so that gains over the best kernel are known, unless --kernels asked: bicubic, "
    assert main(["plan", *words]) == 0
    out = capsys.readouterr().out
    assert "7 runs, 7 to do" in out and said in out
    assert main(["bench", *words]) == 0
    out = capsys.readouterr().out
    assert said in out and "the best of 6 kernels" in " ".join(out.split())
    (task,) = json.loads((tmp_path / "runs" / "report" / "leaderboard.json").read_text())["tasks"]
    gains = {row["label"]: row["cells"]["all"]["gain"]["value"] for row in task["rows"]}
    assert len(gains) == 7 and gains[task["best_kernel"]] == 0
    assert max(value for label, value in gains.items() if label in KERNELS) == 0
    assert main(["plan", *words, "--kernels", "asked"]) == 0
    out = capsys.readouterr().out
    assert "1 runs, 0 to do" in out and "run too" not in out
