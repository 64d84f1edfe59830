"""A plan says what runs will take, going by finished ones, and what it does not know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.bench.forecast import Experience, observed_bytes, output_voxels
from vemrecon.bench.plan import plan
from vemrecon.bench.rehearsal import rehearsed
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.result import Costs, Status
from vemrecon.cli import main


def planned(runs, **asked):
    whole = {"dataset": ("phantom",), "scale": (4,), "methods": ("linear", "lateral-cnn"), "preset": "smoke"} | asked
    return plan(resolve([Request(**whole)], Setup(runs), fetch=False))


def finish(run, device="cpu", **costs):
    run.folder.create()
    (run.folder.path / "reconstruction.zarr").mkdir()
    (run.folder.path / "reconstruction.zarr" / "0").write_bytes(bytes(3000))
    (run.folder.path / "weights.safetensors").write_bytes(bytes(500))
    run.folder.write_result(Status.DONE, costs=Costs(**costs), environment={"device": device})


def test_times_grow_with_voxels_and_trainings_do_not(tmp_path):
    linear, cnn = planned(tmp_path)
    voxels = output_voxels(cnn)
    took = {"train_seconds": 100.0, "reconstruct_seconds": 10.0, "score_seconds": 4.0, "output_voxels": voxels / 2}
    finish(cnn, **took)
    (again,) = [run for run in planned(tmp_path, seeds=(1,)) if run.learns]

    found = Experience(tmp_path, "cpu").forecast(again)

    assert (found.train_seconds, found.reconstruct_seconds, found.score_seconds) == (100.0, 20.0, 8.0)
    assert found.seconds == 128.0 and found.basis == "1 run of it"
    assert found.bytes == pytest.approx(2 * 3000 + Experience(tmp_path, "cpu").records[0].apart)
    assert Experience(tmp_path, "cpu").forecast(linear).seconds is None, "nobody knows"
    assert Experience(tmp_path, "cuda").forecast(again).seconds is None, "another kind of device is no measure"


def test_a_training_of_a_track_takes_what_it_has_and_tells_nothing_of_others(tmp_path):
    (cnn,) = planned(tmp_path, methods=("lateral-cnn",))
    finish(cnn, train_seconds=7.0, reconstruct_seconds=1.0, score_seconds=1.0, output_voxels=output_voxels(cnn))
    (timed,) = planned(tmp_path, methods=("lateral-cnn",), track="minutes=2")
    finish(timed, train_seconds=119.0, reconstruct_seconds=1.0, score_seconds=1.0, output_voxels=output_voxels(cnn))

    known = Experience(tmp_path, "cpu")

    assert known.forecast(timed).train_seconds == 120
    assert known.forecast(cnn).train_seconds == 7


def test_other_arguments_of_a_preset_are_taken_where_there_are_no_better_ones(tmp_path):
    (cnn,) = planned(tmp_path, methods=("lateral-cnn",), set={"lateral-cnn": {"width": 4}})
    finish(cnn, train_seconds=1.0, reconstruct_seconds=1.0, score_seconds=1.0, output_voxels=output_voxels(cnn))
    (other,) = planned(tmp_path, methods=("lateral-cnn",))
    assert Experience(tmp_path, "cpu").forecast(other).basis == "1 run of its preset"


@pytest.mark.parametrize(("kind", "voxels"), [("reference", 40 * 32 * 32), ("native", 4 * 40 * 32 * 32)])
def test_a_whole_volume_has_voxels_though_no_split_names_a_region(tmp_path, kind, voxels):
    np.save(tmp_path / "v.npy", np.arange(40 * 32 * 32).reshape(40, 32, 32).astype(np.uint8))
    setup = Setup(tmp_path / "runs", voxel_size=(8.0, 8.0, 8.0) if kind == "reference" else (40.0, 10.0, 10.0))
    request = Request(dataset=(f"local:{tmp_path / 'v.npy'}",), methods=("linear",), scale=(4,), task=kind)
    runs = plan(resolve([request], setup, fetch=False))
    assert [output_voxels(run) for run in runs] == [voxels]
    assert observed_bytes(runs) == (4 * voxels / 4 if kind == "reference" else 0)


def test_a_generated_dataset_has_the_size_that_its_card_says(tmp_path):
    (run,) = planned(tmp_path, methods=("linear",))
    at = replace(run.job.truth, region=None)
    whole = replace(run, job=replace(run.job, truth=at))
    assert output_voxels(whole) >= output_voxels(run) > 0


def test_a_plan_names_states_times_sizes_and_what_they_go_by(tmp_path, capsys):
    words = ["--methods", "linear", "lateral-cnn", "--preset", "smoke", "--scale", "4", "--runs", str(tmp_path)]
    (_, cnn) = planned(tmp_path)
    finish(cnn, train_seconds=3600.0, reconstruct_seconds=0.0, score_seconds=0.0, output_voxels=output_voxels(cnn))
    assert main(["plan", "default", *words, "--dataset", "phantom", "--seeds", "0", "1"]) == 0
    said = capsys.readouterr().out
    assert "3 runs, 2 to do" in said
    assert "60 min" in said and "1 run of it" in said and "nothing known" in said
    assert "1 of them left out of the time" in said


def test_a_suite_is_named_without_an_option_too_but_not_twice(tmp_path, capsys):
    assert main(["plan", "default", "--runs", str(tmp_path)]) == 0
    alone = capsys.readouterr().out
    assert main(["plan", "--suite", "default", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == alone
    assert main(["plan", "default", "--suite", "other", "--runs", str(tmp_path)]) == 2
    assert "two suites are named" in capsys.readouterr().err
    assert main(["plan", "no-such", "--runs", str(tmp_path)]) == 2


def test_a_rehearsal_tells_what_nothing_finished_does(tmp_path):
    np.save(tmp_path / "v.npy", textured((48, 64, 64)))
    methods = ("linear", "lateral-cnn", "emgauss")
    request = Request(
        dataset=(f"local:{tmp_path / 'v.npy'}",),
        scale=(4, 8),
        degradation=("average",),
        methods=methods,
        preset="smoke",
        mode="transductive",
    )
    runs = plan(resolve([request], Setup(tmp_path / "runs", voxel_size=(8.0, 8.0, 8.0)), fetch=False))
    known = Experience(tmp_path, "cpu")
    assert all(not known.forecast(run).basis for run in runs)

    found = list(rehearsed(runs, known, "cpu"))
    for _, one in found:
        if not isinstance(one, str):
            known.learn(one)

    assert len(found) == len(runs), "every method at every scale, once"
    assert {run.folder.spec.method.name for run, one in found if isinstance(one, str)} == {"emgauss"}
    for run in runs:
        forecast, name = known.forecast(run), run.folder.spec.method.name
        if name == "emgauss":
            assert forecast.seconds is None
        else:
            assert (forecast.train_seconds > 0) is (name == "lateral-cnn")
            assert forecast.reconstruct_seconds > 0 and forecast.basis == "a rehearsal, without scoring"
    assert not any(run.folder.path.exists() for run in runs), "nothing of it stays"
