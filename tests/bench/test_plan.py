"""Identity of runs, plans, and what a new start does with what is there."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vemrecon import perceptual
from vemrecon.bench.due import to_do
from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.cli import main
from vemrecon.data import Locator, Split, require_apart
from vemrecon.errors import ConfigError, DataError
from vemrecon.methods.registry import built_in_methods
from vemrecon.metrics import Need, Score
from vemrecon.metrics.score import Reference
from vemrecon.segment import instances, network
from vemrecon.volume import Region

TASK = Task("d", "test", 8.0, DegradationVariant("average"), "0" * 64, "1" * 12)
METHOD = MethodVariant("m", "m", "p.M", "1", {"a": 1})
SPEC = RunSpec(TASK, METHOD, "default", 0, 1, ("psnr",))


def test_the_same_specification_has_the_same_run_id_on_every_platform():
    assert SPEC.run_id == "c9c519866f71"  # computed once; a change would orphan every run ever made


def test_the_run_id_depends_on_what_changes_a_number_and_not_on_metrics():
    changed = [
        replace(SPEC, seed=1),
        replace(SPEC, preset="cpu"),
        replace(SPEC, protocol=2),
        replace(SPEC, method=replace(METHOD, version="2")),
        replace(SPEC, method=replace(METHOD, arguments={"a": 2})),
        replace(SPEC, task=replace(TASK, scale=4.0)),
        replace(SPEC, task=replace(TASK, dataset_digest="2" * 64)),
        replace(SPEC, training={"mode": "inductive"}),
    ]
    ids = {spec.run_id for spec in [SPEC, *changed]}
    assert len(ids) == len(changed) + 1
    assert replace(SPEC, metrics=("psnr", "ssim")).run_id == SPEC.run_id


def test_a_specification_survives_its_file(tmp_path):
    folder = RunFolder.of(SPEC, tmp_path)
    folder.create()
    assert RunFolder.open(folder.path).spec == SPEC
    assert RunFolder.open(folder.path).spec.run_id == SPEC.run_id


def request(**more):
    methods = ("linear", "lateral-cnn")
    return Request(**{"dataset": "phantom", "scale": (4, 8), "methods": methods, "seeds": (0, 1), **more})


def runs_of(request, runs, **more):
    """Planned runs, without looking at data."""
    return plan(resolve([request], Setup(runs, **more), fetch=False))


def test_seeds_matter_only_to_methods_that_learn_and_nothing_is_planned_twice(tmp_path):
    runs = runs_of(request(methods=("linear", "lateral-cnn", "linear")), tmp_path)
    names = [(run.folder.spec.method.name, run.folder.spec.seed) for run in runs]
    assert names == [("linear", 0), ("lateral-cnn", 0), ("lateral-cnn", 1)] * 2
    assert [run.learns for run in runs] == [False, True, True] * 2


SEEDLESS = """
from vemrecon.methods import Method, MethodCard

class Fitted(Method):
    card = MethodCard("least squares, the same for every seed", regime="self", random=False)
    presets = {"smoke": {}, "cpu": {}}

    def reconstruct(self, tile):
        return tile.observed

class Sampled(Fitted):
    card = MethodCard("draws noise, learns nothing", regime="none", random=True)
    presets = {}
"""


def test_a_learner_that_is_not_random_runs_once_and_what_draws_runs_for_every_seed(tmp_path, monkeypatch):
    (tmp_path / "seedless.py").write_text(SEEDLESS)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = request(methods=("seedless.Fitted", "seedless.Sampled"), scale=(4,), seeds=3)
    found = [(run.folder.spec.method.name, run.folder.spec.seed) for run in runs_of(asked, tmp_path / "runs")]
    assert found == [("Fitted", 0), ("Sampled", 0), ("Sampled", 1), ("Sampled", 2)]


def test_every_built_in_method_that_learns_is_random():
    """Their weights, patches or jitter come from the seed; see `methods/build.py` and `methods/emgauss/fit.py`."""
    for entry in built_in_methods().values():
        assert entry.card is not None and entry.card.random == (entry.card.regime != "none")


SAME_IDS = [
    ({}, "299cab24855d f9d7a1280bc2"),
    (
        {"scale": (8,), "degradation": ("subsample",), "methods": ("bicubic", "bspline3", "lanczos3")},
        "bfbdff430e98 80a08dea4afc 1329e8d80c3b",
    ),
    (
        {"methods": ("lateral-cnn", "isovem", "vemamba"), "preset": "smoke", "seeds": (0, 1)},
        "6bad4b62351b 175f0407afdb e227a73c6208 a13e76f432f9 da166e0a7793 05399976116c",
    ),
    ({"methods": ("emdiffuse-i", "sup-dgean"), "metrics": ("psnr",)}, "0441f492f9c9 96f52786edfa"),
    (
        {"scale": (2.5,), "split": "smoke", "methods": ("lateral-cnn", "emgauss"), "mode": "transductive"},
        "213c56ff4bf3 9217894866b9",  # emgauss: that of version 2, which is blended
    ),
    (
        {
            "scale": (4,),
            "methods": ("lateral-cnn", "d2r-aenet"),
            "set": {"lateral-cnn": {"width": 4, "learning_rate": 0.001}, "d2r-aenet": {"diffusion.budget": 500}},
        },
        "97f8efc0c4cd ab67c4f5eab1",
    ),
]
"""Requests for the phantom, and the ids of their runs; written down once, a change would orphan runs."""


@pytest.mark.parametrize(("asked", "ids"), SAME_IDS)
def test_the_same_request_has_the_same_run_ids_for_ever(tmp_path, asked, ids):
    whole = {"dataset": "phantom", "scale": (8,), "methods": ("linear", "nearest"), **asked}
    assert [run.folder.spec.run_id for run in runs_of(Request(**whole), tmp_path)] == ids.split()


def test_a_plan_is_made_without_a_look_at_data(tmp_path, monkeypatch):
    resolved = resolve([request()], Setup(tmp_path), fetch=False)
    for name in ("volume", "labels", "fetch_all"):
        monkeypatch.delattr(Locator, name)
    monkeypatch.setattr("pathlib.Path.open", None)
    assert len(plan(resolved)) == 6
    assert plan(resolved) == plan(resolved)


def test_changed_arguments_make_a_variant_with_its_own_name(tmp_path):
    runs = runs_of(request(set={"lateral-cnn": {"width": 8}}), tmp_path)
    names = {run.folder.spec.method.name for run in runs}
    assert names == {"linear", "lateral-cnn[width=8]"}
    plain = runs_of(request(), tmp_path)
    assert {run.folder.spec.run_id for run in runs if run.learns}.isdisjoint(r.folder.spec.run_id for r in plain)


def test_states_decide_what_is_done(tmp_path):
    runs = runs_of(request(seeds=(0,)), tmp_path)
    for run, status in zip(runs, ("done", "failed", "interrupted", "declined"), strict=True):
        run.folder.create()
        run.folder.write_result(status, reason="" if status == "done" else "why")
    assert [run.folder.state() for run in runs] == ["done", "failed", "interrupted", "declined"]
    assert to_do(runs) == [runs[2]]
    assert to_do(runs, ["failed"]) == [runs[1], runs[2]]
    more = runs_of(request(seeds=(0,), metrics=("psnr", "fsc_none")), tmp_path)
    assert more[0] in to_do(more), "a metric that is not there yet is scored anew"


def test_a_finished_run_is_scored_again_when_what_lpips_needs_has_arrived(tmp_path, monkeypatch):
    runs = runs_of(request(seeds=(0,), metrics=("psnr", "lpips")), tmp_path)[:1]
    row = Score("lpips", "vgg", "xy", "all", "all", None, note="no weights", missing=Need.WEIGHTS)
    runs[0].folder.create()
    runs[0].folder.write_result(Status.DONE, scores=(row,))
    monkeypatch.setattr(perceptual, "obstacle", lambda network: "no weights")
    assert to_do(runs) == []
    monkeypatch.setattr(perceptual, "obstacle", lambda network: "")
    assert to_do(runs) == runs
    for known in (replace(row, note="a side is shorter than 16", missing=None), replace(row, value=0.3, missing=None)):
        runs[0].folder.write_result(Status.DONE, scores=(known,))
        assert to_do(runs) == []


def test_weights_of_one_network_do_not_fill_the_scores_of_another(tmp_path, monkeypatch):
    runs = runs_of(request(seeds=(0,), metrics=("lpips",)), tmp_path)[:1]
    blank = Score("lpips", "vgg", "xy", "all", "all", None, note="no weights", missing=Need.WEIGHTS)
    runs[0].folder.create()
    runs[0].folder.write_result(Status.DONE, scores=(blank, replace(blank, variant="alex", value=0.3, missing=None)))
    monkeypatch.setattr(perceptual, "obstacle", lambda network: "no weights" if network == "vgg" else "")
    assert to_do(runs) == []  # or it would be scored at every call, and stay blank
    monkeypatch.setattr(perceptual, "obstacle", lambda network: "no weights" if network == "alex" else "")
    assert to_do(runs) == runs


def test_neurons_wait_for_everything_that_a_segmentation_needs(tmp_path, monkeypatch):
    runs = runs_of(request(seeds=(0,), metrics=("segmentation",)), tmp_path)[:1]
    need = {"target": "membranes", "reference": Reference.LABELS, "missing": Need.WEIGHTS}
    runs[0].folder.create()
    runs[0].folder.write_result(Status.DONE, scores=(Score("iou", "", "volume", "all", "all", None, **need),))
    for missing in ("no scikit-image", ""):
        monkeypatch.setattr(network, "obstacle", lambda: "")
        monkeypatch.setattr(instances, "obstacle", lambda missing=missing: missing)
        assert to_do(runs) == ([] if missing else runs)


def test_a_result_that_cannot_be_read_counts_as_not_done(tmp_path):
    folder = RunFolder.of(SPEC, tmp_path)
    folder.create()
    for text in ("{", "[]", json.dumps({"schema": None})):
        (folder.path / "result.json").write_text(text)
        assert folder.state() == "interrupted"
    (folder.path / "result.json").write_text(json.dumps({"schema": 99}))
    assert folder.state() == "newer"
    with pytest.raises(DataError, match="newer"):
        RunResult.read(folder.path / "result.json")


BOX = st.tuples(*[st.integers(0, 20)] * 3)


@given(BOX, BOX, st.tuples(*[st.integers(1, 20)] * 3), st.tuples(*[st.integers(1, 20)] * 3))
@settings(deadline=None)
def test_train_and_test_regions_never_overlap(a, b, size_a, size_b):
    regions = [
        Region(start, tuple(s + n for s, n in zip(start, size, strict=True)))
        for start, size in ((a, size_a), (b, size_b))
    ]
    shared = all(max(p, q) < min(p + m, q + n) for p, q, m, n in zip(a, b, size_a, size_b, strict=True))
    train, test = (Split(name, "file", region) for name, region in zip(("train", "test"), regions, strict=True))
    if shared:
        with pytest.raises(ConfigError, match="overlaps"):
            require_apart(train, test)
    else:
        require_apart(train, test)
    require_apart(replace(train, file="other"), test)


def test_scoring_on_the_training_split_is_refused(tmp_path, capsys):
    words = ["plan", "--dataset", "fib25s", "--split", "train", "--methods", "lateral-cnn", "--runs", str(tmp_path)]
    assert main(words) == 2
    assert "overlaps the training split" in capsys.readouterr().err


def test_what_is_said_about_a_file_is_part_of_the_run_id(tmp_path):
    import numpy as np
    from small_volumes import textured

    np.save(tmp_path / "v.npy", textured((16, 32, 32)))
    asked = Request((f"local:{tmp_path / 'v.npy'}",), methods=("linear",))
    said = [
        {},
        {"voxel_size": (8, 8, 8)},
        {"voxel_size": (4, 4, 4)},
        {"intensity_range": (0.0, 99.0)},
    ]
    ids = {runs_of(asked, tmp_path, **more)[0].folder.spec.run_id for more in said}
    assert len(ids) == len(said)


def test_a_file_of_your_own_has_no_training_split(tmp_path, capsys):
    import numpy as np
    from small_volumes import textured

    np.save(tmp_path / "v.npy", textured((16, 32, 32)))
    words = ["plan", "--dataset", f"local:{tmp_path / 'v.npy'}", "--methods", "lateral-cnn", "--runs", str(tmp_path)]
    assert main(words) == 2
    assert "--mode transductive" in capsys.readouterr().err
    assert main([*words, "--mode", "transductive"]) == 0
