"""The smoothed truth of a task: what it is, and that it is scored once."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from small_volumes import textured

from vemrecon.bench import references
from vemrecon.bench.job import Job
from vemrecon.bench.references import SMOOTHED, reference_scores, smoothed
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes
from vemrecon.data.volume_at import VolumeAt
from vemrecon.degradations import degrade, make_degradation
from vemrecon.metrics.evaluate import evaluate
from vemrecon.progress import silent
from vemrecon.volume import Region, Volume, VoxelSize

SHAPE = (24, 33, 29)
JOB = Job(VolumeAt("truth.h5", None, "1", None, None, "s", None))
SIGMAS = {"reference": (1, 1, 1), "lateral": (0, 1, 1)}


def truth(kind="reference"):
    size = VoxelSize(40, 8, 8) if kind == "lateral" else VoxelSize(8, 8, 8)
    return Volume(textured(SHAPE), size, "truth")


def folder_of(tmp_path, kind="reference", metrics=("psnr",), method="linear"):
    task = Task("d", "s", 4.0, DegradationVariant("subsample"), "1", "2", kind, "y" if kind == "lateral" else "z")
    spec = RunSpec(task, MethodVariant(method, method, "m.M", "1"), "default", 0, 1, tuple(metrics))
    return RunFolder(tmp_path / "task" / method, spec)


def scores_of(folder, job=JOB):
    kind = folder.spec.task.kind
    whole, axis = truth(kind), 1 if kind == "lateral" else 0
    volumes = TaskVolumes(degrade(whole, make_degradation("subsample", 4), axis=axis), whole, axis)
    return reference_scores(folder, job, volumes, silent)


@pytest.mark.parametrize("kind", SIGMAS)
@settings(max_examples=20, deadline=None)
@given(
    start=st.tuples(st.integers(0, 23), st.integers(0, 32), st.integers(0, 28)),
    size=st.tuples(*[st.integers(1, 30)] * 3),
)
def test_any_part_of_the_smoothed_truth_is_what_scipy_makes_of_the_whole(kind, start, size):
    volume = truth(kind)
    part = Region(start, tuple(min(a + n, b) for a, n, b in zip(start, size, SHAPE, strict=True)))
    whole = volume.read(volume.whole)
    expected = gaussian_filter(whole, SIGMAS[kind], truncate=4, mode="reflect")
    assert np.array_equal(smoothed(volume, kind).read(part), expected[part.slices])


@pytest.mark.parametrize("kind", SIGMAS)
def test_it_is_scored_like_a_reconstruction(tmp_path, kind):
    volume = truth(kind)
    found = scores_of(folder_of(tmp_path, kind))[SMOOTHED]
    made = gaussian_filter(volume.read(volume.whole), SIGMAS[kind], truncate=4)
    expected = evaluate(
        volume, Volume(made, volume.voxel_size, "made"), metrics=("psnr",), ranges={"all": volume.whole}
    )
    values = {s.plane: s.value for s in expected.scores}
    assert {s.plane for s in found} == ({"xy", "volume"} if kind == "lateral" else {*values})
    assert {s.range for s in found} == {"all", "span"} and all(s.whole for s in found)
    for score in found:
        if score.range == "all" and score.plane in ("xz", "volume"):  # kept sections are left out of xy alone
            assert score.value == pytest.approx(values[score.plane], abs=1e-9)


def test_runs_of_a_task_score_it_once_and_damage_is_noticed(tmp_path, monkeypatch):
    calls = []

    def counted(evidence, names):
        calls.append(tuple(names))
        return judge(evidence, names)

    judge = references.judge
    monkeypatch.setattr(references, "judge", counted)
    first = scores_of(folder_of(tmp_path))
    assert scores_of(folder_of(tmp_path, method="bicubic")) == first and calls == [("psnr",)]
    more = scores_of(folder_of(tmp_path, metrics=("ssim",), method="nearest"))
    assert {s.metric for s in more[SMOOTHED]} == {"ssim"} and calls[1:] == [("psnr", "ssim")]
    assert scores_of(folder_of(tmp_path, method="lanczos3")) == first and len(calls) == 2
    (mark,) = tmp_path.glob("task/references-*/scores.json")
    facts = json.loads(mark.read_text())
    facts[SMOOTHED][0]["value"] = 99.0
    mark.write_text(json.dumps(facts))
    assert scores_of(folder_of(tmp_path)) == first and len(calls) == 3
    assert mark.with_name("scores.json.damaged-1").exists()


def test_other_damaged_sections_are_another_score(tmp_path):
    sound = scores_of(folder_of(tmp_path))[SMOOTHED]
    damaged = scores_of(folder_of(tmp_path, method="bicubic"), replace(JOB, defects=(5, 6)))[SMOOTHED]
    assert [s.value for s in damaged if s.plane == "xy"] != [s.value for s in sound if s.plane == "xy"]
    assert scores_of(folder_of(tmp_path))[SMOOTHED] == sound


def test_metrics_that_are_slow_or_need_more_than_two_volumes_are_left_out(tmp_path):
    names = ("psnr", "lpips_vgg", "fsim", "uncertainty", "segmentation")
    found = scores_of(folder_of(tmp_path, metrics=names))
    assert {s.metric for s in found[SMOOTHED]} == {"psnr"}


def test_tasks_without_a_truth_have_none(tmp_path):
    observed = truth()
    assert reference_scores(folder_of(tmp_path, "native"), JOB,
                            TaskVolumes(observed, None, 0), silent) == {}  # fmt: skip
